-- --- turns --------------------------------------------------------------------------------------------------------

-- No turn runs any more.
local function idle(h)
  h.running, h.asked = '', ''
  if h.flags ~= 0 then h.flags = bit.band(h.flags, MARKED + JOINED) end
end

-- Puts the running turn among the waiting ones; returns it and the hash fields that this changes.
local function set_aside(h, key)
  local found = redis.call('HMGET', key, 't', 'r')
  if not found[1] or not found[2] then corrupt('the running turn is missing') end
  local w, handler = {id = h.running, steps = has(h.flags, STEPS) and 1 or 0}, nil
  local _
  _, w.place, w.due, w.order, w.attempt, w.token, handler = struct.unpack(TURN, found[1])
  local input = struct.pack(INPUT, #h.asked, h.asked, #handler, handler) .. found[2]
  add_waiter(h, w)
  idle(h)
  return w, '+' .. w.id, input
end

local function steps_of(base, rest, turn)
  local steps = redis.call('LRANGE', journal(base, rest, turn), 0, -1)
  if #steps == 0 then corrupt('journal') end
  return steps
end

-- Begins a journal. Pushing first: a server that is out of memory refuses that, but not what comes after an UNLINK in a script.
local function begin_journal(j, step)
  if redis.call('RPUSH', j, step) > 1 then  -- behind what an evicted session left
    redis.call('UNLINK', j)
    redis.call('RPUSH', j, step)
  end
end

-- `sent`: the input that this call brought ('' in a takeover, nil where it was just accepted); another one is sent back.
local function granted(h, key, base, rest, rec, snapshot, sent, now)
  local reply = struct.pack('<BI8I4I4c12I8BI8', 71, h.fence, h.attempt, h.inc1, h.inc2, now, rec, h.expires)
  local steps = has(h.flags, STEPS)
  local entry = sent and redis.call('HGET', key, 'r')
  if sent and not entry then corrupt('an accepted input is missing') end
  if entry == sent then entry = false end
  if rec < 2 and not steps and not entry then return reply end
  local journaled = steps and steps_of(base, rest, h.running)
  return {reply, snapshot[1] or false, snapshot[2] or false, journaled, entry or false, snapshot[3]}
end

-- 0: nothing committed yet; 1: the caller's copy is current; 2: fields and tail, as they are before this call's writes.
-- A version is known by eight of the sixteen random bytes of its commit id.
local function snapshot_of(h, key, base, rest, known, k1, k3, tail)
  if h.counter == 0 then return 0, {} end
  if known and k1 == h.c1 and k3 == h.c3 then return 1, {} end
  local log, held = base .. 'l' .. rest, h.total - h.paged
  if redis.call('LLEN', log) ~= held then corrupt('log') end
  local older
  if h.paged > 0 and tail > held then older = pages_of(h, base, rest, math.max(0, h.total - tail), h.paged) end
  return 2, {redis.call('HGETALL', key), tail > 0 and redis.call('LRANGE', log, -tail, -1) or {}, older}
end

local function begin(keys, args)
  local key, a = keys[1], args[1]
  local base, rest = siblings(key)
  local flags, k1, k3, token, asked, turn, at = struct.unpack('<BI4I4Bc0Bc0I2c0', a)
  local wide, known = bit.band(flags, 2) > 0, bit.band(flags, 16) > 0
  local lease_ms, place_ms, tail, age, ttl, max_age, indexed
  if bit.band(flags, 32) > 0 then
    age, lease_ms, place_ms, tail, at = 86400000, struct.unpack('<I4I4I2', a, at)
  else
    lease_ms, place_ms, tail, age, at = struct.unpack(wide and '<I8I8I8I8' or '<I4I4I4I4', a, at)
  end
  local handler, user = '', ''
  if flags ~= 48 then
    if bit.band(flags, 1) > 0 then ttl, max_age, at = struct.unpack(wide and '<I8I8' or '<I4I4', a, at) end
    if bit.band(flags, 4) > 0 then handler, at = struct.unpack('<I2c0', a, at) end
    if bit.band(flags, 8) > 0 then user, indexed, at = struct.unpack('<I2c0I8', a, at) end
  end

  local now = clock()
  local h, dead = head_of(key, base, rest, now)
  local running, mine, mine_at, input = false, nil, nil, nil
  if h then
    if user ~= '' and h.user ~= '' and h.user ~= user then return 'W' end
    running = h.running == turn
    if not running then mine, mine_at = find_waiter(h, turn) end
    if running then
      if asked ~= '' and h.asked ~= asked then return 'M' end
    elseif mine then
      input = redis.call('HGET', key, '+' .. turn)
      if not input then corrupt('an accepted input is missing') end
      if asked ~= '' and struct.unpack('<Bc0', input) ~= asked then return 'M' end
      if #mine.token == PARKED and now < mine.due then return struct.pack('<BI8', 90, mine.due - now) end
    else
      local o = outcome_of(h, base, rest, 't' .. turn, age, now)
      if o then
        if asked ~= '' and o.fingerprint ~= asked then return 'M' end
        return stored_reply(80, h, o, base, rest)
      end
    end
  end
  if not running and not mine and asked == '' then return 'A' end
  if not h and not ttl then return 'B' end

  if h and (h.running ~= '' or h.waiting > 0) then
    if h.running ~= '' then
      with_turn(h, key)
    else
      h.lease = 0
    end
    if running and now < h.lease then
      if h.token == token then
        local rec, snapshot = snapshot_of(h, key, base, rest, known, k1, k3, tail)
        return granted(h, key, base, rest, rec, snapshot, asked == '' and '' or args[2], now)
      end
      if not has(h.flags, JOINED) then
        h.flags = h.flags + JOINED
        redis.call('HSET', key, 'm', packed(h))
      end
      return struct.pack('<BI8', 82, h.lease - now)
    end
    local order = running and h.order or (mine and mine.order or h.arrivals + 1)
    local ahead, leased = 0, 0
    for _, w in ipairs(waiters(h)) do
      if w.order < order and now < w.place then ahead = ahead + 1 end
    end
    if h.running ~= '' and not running then
      if h.order < order and now < h.place then ahead = ahead + 1 end
      if now < h.lease then leased = 1 end
    end
    if leased + ahead > 0 then
      local left = h.lease > now and h.lease - now or 0
      if place_ms == 0 then return struct.pack('<BI8', 89, left) end
      local till = now + place_ms
      hold(h, till)
      if not has(h.flags, JOINED) then h.flags = h.flags + JOINED end
      if running then
        h.token, h.place, h.due = token, till, till
        save(h, key, base, rest, now, 't', packed_turn(h))
      elseif mine then
        mine.token, mine.place, mine.due = token, till, till
        save(h, key, base, rest, now)
      else
        h.arrivals = order
        add_waiter(h, {order = order, place = till, due = till, attempt = 0, steps = 0, token = token, id = turn})
        save(h, key, base, rest, now, '+' .. turn, struct.pack(INPUT, #asked, asked, #handler, handler) .. args[2])
      end
      redis.call('ZADD', base .. 'p', till, member(rest, turn))
      return struct.pack('<BI4I8', 81, ahead + leased, left)
    end
  end

  -- Granted: from here on it writes.
  local rec, snapshot = 0, {}
  if h then rec, snapshot = snapshot_of(h, key, base, rest, known, k1, k3, tail) end
  local aside, aside_input, entry
  if h and h.running ~= '' and not running then
    local _
    _, aside, aside_input = set_aside(h, key)
  end
  if dead then wipe(dead, key, base, rest) end
  local fence = next_fence(base, token)
  if not h then
    local inc1, inc2 = new_incarnation(token, fence)
    h = born(inc1, inc2, user, ttl, max_age, indexed or 0, marked(base, rest), now)
  end
  if mine then
    local from
    h.asked, h.handler, from = struct.unpack(INPUT, input)
    entry = string.sub(input, from)
    h.order, h.attempt = mine.order, mine.attempt
    if mine.steps > 0 then h.flags = h.flags + STEPS end
    drop_waiter(h, mine_at)
  elseif running then
    if has(h.flags, SIGNALLED) then h.flags = h.flags - SIGNALLED end  -- the grant brings the whole journal
  else
    h.arrivals = h.arrivals + 1
    h.order, h.attempt, h.asked, h.handler = h.arrivals, 0, asked, handler
    entry = args[2]
  end
  h.fence, h.running, h.lease, h.token = fence, turn, now + lease_ms, token
  h.place, h.due, h.attempt = 0, h.lease, h.attempt + 1
  hold(h, h.lease)
  if aside then
    save(h, key, base, rest, now, 't', packed_turn(h), 'r', entry, aside, aside_input)
  elseif entry then
    save(h, key, base, rest, now, 't', packed_turn(h), 'r', entry)
  else
    save(h, key, base, rest, now, 't', packed_turn(h))
  end
  if mine then redis.call('HDEL', key, '+' .. turn) end
  redis.call('ZADD', base .. 'p', h.due, member(rest, turn))
  local sent = nil
  if mine or running then sent = asked == '' and '' or args[2] end
  return granted(h, key, base, rest, rec, snapshot, sent, now)
end

-- The living head if this holder may journal and renew; its lease is lengthened then.
local function held(key, base, rest, turn, fence, lease_ms, now)
  local h = head_of(key, base, rest, now)
  if not h or h.running ~= turn or h.fence ~= fence then return nil end
  with_turn(h, key)
  h.lease = now + lease_ms
  h.due = h.lease
  hold(h, h.lease)
  return h
end

local function record(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local fence, lease_ms, turn, at = struct.unpack('<I8I8I2c0', args[1])
  local h = held(key, base, rest, turn, fence, lease_ms, now)
  if not h then return 'F' end
  local j, first = journal(base, rest, turn), not has(h.flags, STEPS)
  local step = string.sub(args[1], at)
  if first then
    begin_journal(j, step)
    h.flags = h.flags + STEPS
  elseif redis.call('RPUSHX', j, step) == 0 then
    corrupt('journal')
  end
  save(h, key, base, rest, now, 't', packed_turn(h))
  if first and h.phys ~= 0 then redis.call('PEXPIREAT', j, h.phys) end
  redis.call('ZADD', base .. 'p', h.due, member(rest, turn))
  return 'K'
end

local function renew(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local fence, lease_ms, turn = struct.unpack('<I8I8I2c0', args[1])
  local h = held(key, base, rest, turn, fence, lease_ms, now)
  if not h then return 'F' end
  local told = has(h.flags, SIGNALLED) and steps_of(base, rest, turn)
  save(h, key, base, rest, now, 't', packed_turn(h))
  redis.call('ZADD', base .. 'p', h.due, member(rest, turn))
  return told or 'K'
end

-- Gives up lease or place of a pending turn; returns its waiting entry and the hash fields that this changes.
local function let_go(h, key, turn, now)
  local w, field, input
  if h.running == turn then
    w, field, input = set_aside(h, key)
  else
    w = find_waiter(h, turn)
  end
  w.token, w.place, w.due = '', 0, now
  return w, field, input
end

local function save_let_go(h, key, base, rest, w, field, input, now)
  if field then
    save(h, key, base, rest, now, 'r', '', field, input)
  else
    save(h, key, base, rest, now)
  end
  redis.call('ZADD', base .. 'p', w.due, member(rest, w.id))
  tell(base, rest, 'release')
end

local function withdrawn(h, key, base, rest, turn, w, field, now)
  local _, at = find_waiter(h, turn)
  drop_waiter(h, at)
  if not pending_left(h) then h.hold = 0 end
  if h.counter == 0 and not pending_left(h) then
    wipe(h, key, base, rest)
  elseif field then
    save(h, key, base, rest, now, 'r', '')
  else
    save(h, key, base, rest, now)
    redis.call('HDEL', key, '+' .. turn)
  end
  if w.steps > 0 then redis.call('UNLINK', journal(base, rest, turn)) end
  redis.call('ZREM', base .. 'p', member(rest, turn))
  tell(base, rest, 'release')
end

local function release(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local withdraw, token, turn = struct.unpack('<BBc0I2c0', args[1])
  local h = head_of(key, base, rest, now)
  if not h then return 'K' end
  local mine = h
  if h.running == turn then with_turn(h, key) else mine = find_waiter(h, turn) end
  if not mine or mine.token ~= token then return 'K' end
  local w, field, input = let_go(h, key, turn, now)
  if withdraw == 1 then
    withdrawn(h, key, base, rest, turn, w, field, now)
  else
    save_let_go(h, key, base, rest, w, field, input, now)
  end
  return 'K'
end

local function resolve(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local fence, age_ms, age, kind, op = struct.unpack('<I8I8I8c1I2c0', args[1])
  local h = head_of(key, base, rest, now)
  if h then
    local o = outcome_of(h, base, rest, kind .. op, age, now)
    if o then return stored_reply(80, h, o, base, rest) end
  end
  if kind == 'u' and refused(base, rest, op, age, now) then return 'J' end
  if h and kind == 't' and h.fence <= fence and (h.running == op or find_waiter(h, op)) then
    -- Certain, whatever a ring has dropped: this attempt's commit would have ended the pending turn.
    local w, field, input = let_go(h, key, op, now)
    h.fence = next_fence(base)
    save_let_go(h, key, base, rest, w, field, input, now)
    return 'J'
  end
  if h and (h.dropped >= now - age_ms or (age > 0 and age_ms >= age)) then return 'U' end
  if kind == 'u' then
    refuse(base, rest, op, age, now)
    if h and not has(h.flags, MARKED) then
      h.flags = h.flags + MARKED
      save(h, key, base, rest, now)
    end
  end
  return 'J'
end
