-- --- commit -------------------------------------------------------------------------------------------------------

-- Appends to the list that `held` entries are in, or undoes it and fails: the length after the push is the integrity check.
local function append(log, held, entry, args, till)
  local push = held > 0 and 'RPUSHX' or 'RPUSH'
  local n, len = till - 1, 0
  if entry ~= '' then
    n = n + 1
    if n <= CHUNK then
      len = redis.call(push, log, entry, unpack(args, 2, till))
    else
      len = redis.call(push, log, entry)
    end
  elseif n <= CHUNK then
    len = redis.call(push, log, unpack(args, 2, till))
  end
  if n > CHUNK and (len > 0 or entry == '') then
    for i = 2, till, CHUNK do
      len = redis.call(push, log, unpack(args, i, math.min(i + CHUNK - 1, till)))
      if len == 0 then break end
    end
  end
  if len ~= held + n then
    if len > 0 then redis.call('LTRIM', log, 0, -n - 1) end
    corrupt('log')
  end
  return n
end

-- The names whose stored counter is another than given; `key` nil: nothing is stored.
local function conflicts(key, names, counters, any)
  local found, n = {}, #names
  for i = 1, n, CHUNK do
    local last = math.min(i + CHUNK - 1, n)
    local stored = key and redis.call('HMGET', key, unpack(names, i, last)) or {}
    for k = i, last do
      local value = stored[k - i + 1]
      local counter = value and struct.unpack('<I8', value) or 0
      if counters[k] < any and counters[k] ~= counter then found[#found + 1] = names[k] end
    end
  end
  return found
end

local function all_names(args, first_set, sets, first_del, dels)
  local names = {}
  for i = 1, sets do names[i] = args[first_set + 2 * i - 2] end
  for i = 1, dels do names[sets + i] = args[first_del + i - 1] end
  return names
end

local function conflicting(key, args, first_set, sets, first_del, dels, at, wide)
  local names, counters, one = all_names(args, first_set, sets, first_del, dels), {}, wide and '<I8' or '<I4'
  for i = 1, sets + dels do counters[i], at = struct.unpack(one, args[1], at) end
  return conflicts(key, names, counters, wide and 9e15 or 4294967295)
end

-- Writes head and changed values; `done`: the running turn's input is used up.
local function write(key, m, done, stamp, args, first_set, sets)
  if done and sets == 1 then
    redis.call('HSET', key, 'm', m, 'r', '', args[first_set], stamp .. args[first_set + 1])
    return
  end
  local fields, n = {key, 'm', m}, 3
  if done then fields[4], fields[5], n = 'r', '', 5 end
  for i = first_set, first_set + 2 * sets - 1, 2 do
    fields[n + 1], fields[n + 2] = args[i], stamp .. args[i + 1]
    n = n + 2
    if n >= CHUNK then
      redis.call('HSET', unpack(fields, 1, n))
      n = 1
    end
  end
  if n > 1 then redis.call('HSET', unpack(fields, 1, n)) end
end

-- Flags: 1 base given, 2 incarnation given, 4 strict; rarer ones from 8 on, each with what it brings (4096, rooted: the
-- base's counter; 8192 makes 512 strict: no life at all).
local function commit(keys, args)
  local key, a = keys[1], args[1]
  local base, rest = siblings(key)
  local flags, c1, c2, c3, fence, length, tag, inc1, b1, b3, sets, dels, at
    = struct.unpack('<I2I4c8I4I8I2Bc0I4I4I4I2I2', a)
  local ttl, b_ttl, b_max_age, indexed, inc2, turn, rooted
  local user, wide, must, fresh, unborn = '', false, false, false, false
  local age, turn_limit, update_limit = 86400000, 256, 64
  if flags >= 8 then
    wide, must, fresh = bit.band(flags, 2048) > 0, bit.band(flags, 256) > 0, bit.band(flags, 512) > 0
    unborn = bit.band(flags, 8192) > 0
    if bit.band(flags, 8) > 0 then ttl, at = struct.unpack(wide and '<I8' or '<I4', a, at) end
    if bit.band(flags, 16) > 0 then b_ttl, b_max_age, at = struct.unpack(wide and '<I8I8' or '<I4I4', a, at) end
    if bit.band(flags, 32) > 0 then user, indexed, at = struct.unpack('<I2c0I8', a, at) end
    if bit.band(flags, 64) > 0 then turn, at = struct.unpack('<I2c0', a, at) end
    if bit.band(flags, 128) > 0 then age, turn_limit, update_limit, at = struct.unpack('<I8I4I4', a, at) end
    if bit.band(flags, 1024) > 0 then inc2, at = struct.unpack('<c12', a, at) end
    if bit.band(flags, 4096) > 0 then rooted, at = struct.unpack('<I8', a, at) end
    flags = flags % 8
  end
  local has_base, has_inc, strict = flags % 2 == 1, flags % 4 >= 2, flags >= 4
  local counters_at, appends = at, #args - 1 - 2 * sets - dels
  at = at + (sets + dels) * (wide and 8 or 4)

  local now = clock()
  local found = redis.call('HMGET', key, 'm', 'r')
  local h, dead = living(key, base, rest, found[1], now)
  if not h then
    if must or has_inc or fence > 0 then return 'G' end
  else
    if must and fence == 0 and h.counter == 0 then return 'G' end
    if has_inc and (inc1 ~= h.inc1 or (inc2 and inc2 ~= h.inc2)) then return 'G' end
    if user ~= '' and h.user ~= '' and h.user ~= user then return 'W' end
  end

  -- A fence names its grant: while it is the highest and its turn runs, the client need not send the whole turn id.
  local mine, mine_at, direct, fingerprint, entry = nil, nil, false, '', ''
  local o = base .. 'o' .. rest
  if fence > 0 then
    local id = h.running
    direct = h.fence == fence and #id == length and id ~= '' and string.sub(id, -#tag) == tag
    if direct then
      turn, fingerprint, entry = id, h.asked, found[2]
      if not entry then corrupt('an accepted input is missing') end
    elseif not turn then
      return 'T'
    else
      local seen = outcome_of(h, base, rest, 't' .. turn, age, now)
      if seen then return stored_reply(83, h, seen, base, rest) end
      if h.running ~= turn then mine, mine_at = find_waiter(h, turn) end
    end
  else
    local cid = struct.pack('<I4c8I4', c1, c2, c3)
    local seen = h and outcome_of(h, base, rest, 'u' .. cid, age, now)
    if seen then return stored_reply(83, h, seen, base, rest) end
    if (not h or has(h.flags, MARKED)) and refused(base, rest, cid, age, now) then return 'F' end
  end
  if fresh and h and (unborn or h.counter > 0) then return 'N' end
  if fence > 0 and not direct then
    if not mine or h.fence ~= fence then return 'F' end
    local input = redis.call('HGET', key, '+' .. turn)
    if not input then corrupt('an accepted input is missing') end
    local _, from
    fingerprint, _, from = struct.unpack(INPUT, input)
    entry = string.sub(input, from)
  end

  local on_base
  if not h or h.counter == 0 then
    on_base = not has_base
  else
    on_base = has_base and b1 == h.c1 and b3 == h.c3
  end
  local first_set, first_del = 2 + appends, 2 + appends + 2 * sets
  if not on_base then
    if strict then return {'X'} end
    if rooted and rooted >= (h and h.counter or 0) then return {'X', all_names(args, first_set, sets, first_del, dels)} end
    if sets + dels > 0 then
      local names = conflicting(h and key, args, first_set, sets, first_del, dels, counters_at, wide)
      if #names > 0 then return {'X', names} end
    end
  end

  -- It applies: from here on it writes, the log first, because that is where a damaged session shows.
  if not h then
    if dead then wipe(dead, key, base, rest) end
    local i1, i2 = new_incarnation(c2, next_fence(base))
    h = born(i1, i2, user, b_ttl, b_max_age, indexed or 0, marked(base, rest), now)
  end
  local start, added = h.total, 0
  local touch = fence == 0 and sets + dels + appends == 0 and #a < at and not ttl
  if entry ~= '' or appends > 0 then
    added = append(base .. 'l' .. rest, start - h.paged, entry, args, 1 + appends)
    h.total = start + added
  end
  if ttl then h.ttl = ttl end
  h.expires = slid(now, h.created, h.ttl, h.max_age)
  h.used = now
  local waited = h.waiting > 0 or has(h.flags, JOINED)
  local journaled = false
  if direct then
    journaled = has(h.flags, STEPS)
    idle(h)
    if waited and h.waiting == 0 then h.flags = h.flags - JOINED end
  elseif mine then
    journaled = mine.steps > 0
    drop_waiter(h, mine_at)
  end
  if not pending_left(h) then h.hold = 0 end
  local first, slot, old, stamp = h.turns + h.updates == 0, nil, nil, nil
  if not touch then
    h.counter, h.c1, h.c2, h.c3 = h.counter + 1, c1, c2, c3
    stamp = sets > 0 and struct.pack('<I8', h.counter)
    if fence > 0 then
      slot, old = take_slot(h, o, 't', h.turns, turn_limit, now)
      h.turns = h.turns + 1
    else
      slot, old = take_slot(h, o, 'u', h.updates, update_limit, now)
      h.updates = h.updates + 1
    end
  end
  local due = stretch(h)
  write(key, packed(h), direct, stamp, args, first_set, sets)
  if mine then redis.call('HDEL', key, '+' .. turn) end
  for i = first_del, #args, CHUNK do
    redis.call('HDEL', key, unpack(args, i, math.min(i + CHUNK - 1, #args)))
  end
  if not touch then
    local op = fence > 0 and 't' .. turn or 'u' .. struct.pack('<I4c8I4', c1, c2, c3)
    local value = struct.pack(OUTCOME, h.counter, c1, c2, c3, start, added, now, #fingerprint, fingerprint)
    if #a >= at then value = value .. string.sub(a, at) end
    store(h, o, slot, old, op, value, now, first)
  end
  if turn then
    redis.call('ZREM', base .. 'p', member(rest, turn))
    if journaled then redis.call('UNLINK', journal(base, rest, turn)) end
  end
  if due then
    refresh(h, key, base, rest, now)
  elseif start == 0 and added > 0 and h.phys ~= 0 then
    redis.call('PEXPIREAT', base .. 'l' .. rest, h.phys)
  end
  if waited then tell(base, rest, 'commit') end
  local notes = (on_base and 1 or 0) + (unindexed(h) and 2 or 0)
  if not touch then
    return struct.pack('<BBI8I4c12I8I8I8', 67, notes, h.counter, h.inc1, h.inc2, start, h.expires, now)
  end
  return struct.pack('<BBI8I4c12I8I8I8I4c8I4', 67, notes, h.counter, h.inc1, h.inc2, start, h.expires, now, h.c1, h.c2,
    h.c3)
end
