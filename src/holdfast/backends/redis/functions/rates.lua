-- --- rates --------------------------------------------------------------------------------------------------------
-- The buckets of one subject (backends/rates.py): a hash with the moment at which each is empty, in microseconds. Arguments:
-- for each bucket its name, what is put in and what it holds. All of them take it, or none.

local function take_rates(keys, args)
  local key, t = keys[1], redis.call('TIME')
  local now = t[1] * 1000000 + t[2]
  local names, loads, granted, changes, longest = {}, {}, 1, {}, 0
  for at = 1, #args, 3 do names[#names + 1] = args[at] end
  local empty_at = redis.call('HMGET', key, unpack(names))
  for n, name in ipairs(names) do
    local cost, holds = tonumber(args[n * 3 - 1]), tonumber(args[n * 3])
    local load = math.min(math.max((tonumber(empty_at[n] or now) or now) - now, 0), holds)
    local after = math.max(load + cost, 0)
    if cost > 0 and after > holds then granted = 0 end
    loads[n], longest = {load, after}, math.max(longest, after)
    changes[#changes + 1], changes[#changes + 2] = name, string.format('%.0f', now + after)
  end
  local reply = {granted}
  for n, load in ipairs(loads) do reply[n + 1] = load[granted + 1] end
  if granted == 1 then
    redis.call('HSET', key, unpack(changes))
    local lasts = math.ceil(longest / 1000) + 1
    if redis.call('PTTL', key) < lasts then redis.call('PEXPIRE', key, lasts) end
  end
  return reply
end

