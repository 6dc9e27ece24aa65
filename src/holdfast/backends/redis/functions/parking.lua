-- --- signals and parking ------------------------------------------------------------------------------------------
-- A parked turn is a waiting one without a place, whose token says what it waits for (rules.parked_token) and which is due
-- when that has taken too long.

-- The value of a step, by its name as it is packed; the last one counts.
local function value_in(steps, name)
  for i = #steps, 1, -1 do
    if string.sub(steps[i], 1, #name) == name then return string.sub(steps[i], #name + 1) end
  end
end

-- The turns that a signal is for, in order of arrival: waiting ones, and the head where it is the running one.
local function signalled(h, token, turn, ahead, now)
  local turns, named, parked, found = {}, nil, nil, {}
  for i, w in ipairs(waiters(h)) do turns[i] = w end
  if h.running ~= '' then
    h.id = h.running
    turns[#turns + 1] = h
  end
  table.sort(turns, function(a, b) return a.order < b.order end)
  for _, w in ipairs(turns) do
    if w.id == turn then named = w end
    if w.token == token and not parked then parked = w end
  end
  if turn == '' then return {parked or (h.running ~= '' and h or nil)} end
  if not ahead or not named then return {not ahead and named or nil} end
  for _, w in ipairs(turns) do
    if w ~= named and (w == h or (now < w.place and w.order < named.order)) then found[#found + 1] = w end
  end
  return found
end

local function signal(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local ahead, token, turn, at = struct.unpack('<Bc9I2c0', args[1])
  local step = string.sub(args[1], at)
  local name = string.sub(step, 1, 2 + struct.unpack('<I2', step))
  local h = head_of(key, base, rest, now)
  if not h then return {} end
  if h.running ~= '' then with_turn(h, key) end
  local turns, ids, first, further, woken = signalled(h, token, turn, ahead == 1, now), {}, {}, {}, {}
  for i, w in ipairs(turns) do
    local j = journal(base, rest, w.id)
    ids[i] = w.id
    if w == h and not has(h.flags, STEPS) or w ~= h and w.steps == 0 then
      first[#first + 1] = j
    elseif not value_in(steps_of(base, rest, w.id), name) then
      further[#further + 1] = j
    end
  end
  if #turns == 0 then return ids end

  for _, j in ipairs(first) do begin_journal(j, step) end
  for _, j in ipairs(further) do redis.call('RPUSH', j, step) end
  for _, w in ipairs(turns) do
    if w == h then
      h.flags = bit.bor(h.flags, STEPS + SIGNALLED)
    else
      w.steps = 1
      if #w.token == PARKED then
        w.token, w.due = '', now
        woken[#woken + 1] = w.id
      end
    end
  end
  save(h, key, base, rest, now)
  if h.phys ~= 0 then
    for _, j in ipairs(first) do redis.call('PEXPIREAT', j, h.phys) end
  end
  for _, id in ipairs(woken) do redis.call('ZADD', base .. 'p', now, member(rest, id)) end
  tell(base, rest, 'signal')
  return ids
end

-- {value} where the journal has the step. Else it is parked; with the life where the client should renew the session's
-- entry in its user's index, which a long wait outlasts.
local function park(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local fence, for_ms, token, turn, at = struct.unpack('<I8I8c9I2c0', args[1])
  local h = head_of(key, base, rest, now)
  if not h or h.running ~= turn or h.fence ~= fence then return 'F' end
  local value = has(h.flags, STEPS) and value_in(steps_of(base, rest, turn), string.sub(args[1], at))
  if value then return {value} end
  local w, field, input = let_go(h, key, turn, now)
  w.token, w.due, w.attempt = token, now + for_ms, math.max(0, w.attempt - 1)
  hold(h, w.due)
  save_let_go(h, key, base, rest, w, field, input, now)
  return unindexed(h) and struct.pack('<BI4c12', 73, h.inc1, h.inc2) or 'K'
end
