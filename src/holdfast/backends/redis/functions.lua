-- The contract's writes (backends/contract.py) as Redis functions; the decisions are those of backends/rules.py.
--
-- Every function gets one key, the session hash `<prefix>:{p}:s:<tenant>:<id>`, and derives its siblings, which share
-- the hash tag `{p}` and so the Cluster slot. Numbers come packed in one binary argument (packing.py mirrors it).
-- A function checks everything before its first write: a script that fails half-way is not rolled back.
-- `@tag@` stands for a digest of this text, so that several releases live side by side on one server.


local HOLD = 60000                -- contract.HOLD_MS
local NEVER_BASE = 4503599627370496   -- index score of what never expires: 2^52 + its age
local INDEX_SLACK = 300000        -- a user's index entry is renewed when it lasts less than this past the session
local CHUNK = 4000                -- unpack() of some 8000 values fails
local NO_COMMIT = '\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'

-- Field "m" of the session hash. FIXED is its size without token, user, running turn's id, fingerprint and handler, and
-- waiting turns. Field "r" holds the running turn's input; "+<turn id>" a waiting one's, behind INPUT.
local META = '<I4BBc16c16I8I8I8I8I8I8I8I8I8I8I8I8I8I8I8I8I8I4I4I4Bc0I2c0I2c0Bc0I2c0I2'
local FIXED = 196
local FORMAT = 1
local JOINED, STEPS, MARKED = 1, 2, 4   -- flags: somebody waits for the running turn; it has a journal; see refused()
local WAIT = '<I4I8I8I4BBc0I2c0'  -- a pending turn that is not running: order, place, due, attempt, steps, token, id
local OUTCOME = '<I8c16I8I4I8Bc0' -- counter, commit id, start, count, stored, fingerprint; then the outcome
local INPUT = '<Bc0I2c0'          -- fingerprint, handler; then the accepted log entry

local function corrupt(what)
  error({err = 'HFCORRUPT ' .. what})
end

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + (t[2] - t[2] % 1000) / 1000
end

local function siblings(key)
  local at = string.find(key, '}:s:', 1, true)
  return string.sub(key, 1, at + 1), string.sub(key, at + 3)
end

local function safe(text)
  return (string.gsub(text, '[^%w_.~-]', function(c) return string.format('%%%02X', string.byte(c)) end))
end

-- --- the head -----------------------------------------------------------------------------------------------------

-- One table for all calls, filled anew by each: building one costs more than all the rest of the parsing.
local HEAD = {}

local function parse(m)
  local len, version, flags, inc, cid, counter, created, ttl, max_age, expires, hold, used, fence, lease, place, due,
    turns, updates, dropped, total, phys, indexed, arrivals, order, attempt, token, user, running, asked, handler, waiting, at
    = struct.unpack(META, m)
  if version ~= FORMAT then error({err = 'HFFORMAT ' .. version}) end
  if len ~= #m then corrupt('meta') end
  local h = HEAD
  h.flags, h.inc, h.cid, h.counter, h.created, h.ttl, h.max_age = flags, inc, cid, counter, created, ttl, max_age
  h.expires, h.hold, h.used, h.fence, h.lease, h.place, h.due = expires, hold, used, fence, lease, place, due
  h.turns, h.updates, h.dropped, h.total, h.phys, h.indexed = turns, updates, dropped, total, phys, indexed
  h.arrivals, h.order, h.attempt, h.token, h.user, h.running = arrivals, order, attempt, token, user, running
  h.asked, h.handler, h.waiting, h.list, h.new = asked, handler, waiting, nil, nil
  h.queue = waiting > 0 and string.sub(m, at) or ''
  return h
end

local function waiters(h)
  if h.list then return h.list end
  local list, at = {}, 1
  for i = 1, h.waiting do
    local w = {}
    w.order, w.place, w.due, w.attempt, w.steps, w.token, w.id, at = struct.unpack(WAIT, h.queue, at)
    list[i] = w
  end
  h.list = list
  return list
end

local function packed(h)
  if h.list then
    local parts = {}
    for i, w in ipairs(h.list) do
      parts[i] = struct.pack(WAIT, w.order, w.place, w.due, w.attempt, w.steps, #w.token, w.token, #w.id, w.id)
    end
    h.queue, h.waiting = table.concat(parts), #h.list
  end
  return struct.pack(META, FIXED + #h.token + #h.user + #h.running + #h.asked + #h.handler + #h.queue, FORMAT, h.flags, h.inc, h.cid, h.counter,
    h.created, h.ttl, h.max_age, h.expires, h.hold, h.used, h.fence, h.lease, h.place, h.due, h.turns, h.updates,
    h.dropped, h.total, h.phys, h.indexed, h.arrivals, h.order, h.attempt, #h.token, h.token, #h.user, h.user,
    #h.running, h.running, #h.asked, h.asked, #h.handler, h.handler, h.waiting) .. h.queue
end

local function slid(now, created, ttl, max_age)
  local sliding, cap = now + ttl, created + max_age
  if ttl == 0 then return max_age == 0 and 0 or cap end
  return (max_age ~= 0 and cap < sliding) and cap or sliding
end

local function born(inc, user, ttl, max_age, indexed, now, marked)
  return {flags = marked and MARKED or 0, inc = inc, cid = NO_COMMIT, counter = 0, created = now, ttl = ttl, max_age = max_age,
    expires = slid(now, now, ttl, max_age), hold = 0, used = now, fence = 0, lease = 0, place = 0, due = 0, turns = 0,
    updates = 0, dropped = 0, total = 0, phys = 0, indexed = indexed, arrivals = 0, order = 0, attempt = 0, token = '',
    user = user, running = '', asked = '', handler = '', waiting = 0, queue = '', new = true}
end

-- The living head, or nil and the head of a life that is over but still there.
local function living(key, base, rest, m, now)
  if not m then
    if redis.call('EXISTS', key, base .. 'l' .. rest) > 0 then corrupt('half a session') end
    return nil, nil
  end
  local h = parse(m)
  if h.expires ~= 0 and now >= h.expires and now >= h.hold then return nil, h end
  return h
end

local function head_of(key, base, rest, now)
  return living(key, base, rest, redis.call('HGET', key, 'm'), now)
end

local function ends(h)
  if h.expires == 0 then return 0 end
  return h.hold > h.expires and h.hold or h.expires
end

-- Should the client renew this session's entry in its user's index? 1 or 0.
local function unindexed(h)
  if h.user == '' then return 0 end
  local till = ends(h)
  till = till == 0 and NEVER_BASE or till + INDEX_SLACK
  return h.indexed < till and 1 or 0
end

local function find_waiter(h, turn)
  if h.waiting == 0 and not h.list then return nil end
  for i, w in ipairs(waiters(h)) do
    if w.id == turn then return w, i end
  end
end

local function pending_left(h)
  return h.running ~= '' or h.waiting > 0 or (h.list and #h.list > 0)
end

local function hold(h, till)
  if till + HOLD > h.hold then h.hold = till + HOLD end
end

local function member(rest, turn)
  return string.sub(rest, 2) .. ':' .. turn
end

local function journal(base, rest, turn)
  return base .. 'j' .. rest .. ':' .. safe(turn)
end

-- --- expiry -------------------------------------------------------------------------------------------------------
-- What ends a session is its meta, exactly. The keys' own expiry only frees the memory: it is set later than that, so
-- that it has to be moved once in a while instead of with every turn.

local function stretch(h)
  local till = ends(h)
  if till == 0 then
    if h.new or h.phys ~= 0 then h.phys = 0; return true end
  elseif h.new or h.phys == 0 or till > h.phys then
    h.phys = till + 60000 + math.floor(h.ttl / 4)
    return true
  end
  return false
end

local function expire(h, name)
  if h.phys == 0 then redis.call('PERSIST', name) else redis.call('PEXPIREAT', name, h.phys) end
end

-- An index lives as long as its longest-lived member (key expiry), and members whose time has passed are dropped.
local function index(name, score, id, now)
  local left = redis.call('PEXPIRETIME', name)
  redis.call('ZADD', name, 'GT', score, id)
  if score >= NEVER_BASE then
    if left > 0 then redis.call('PERSIST', name) end
  elseif left == -2 or (left > 0 and left < score) then
    redis.call('PEXPIREAT', name, score)
  end
  redis.call('ZREMRANGEBYSCORE', name, '-inf', string.format('(%.0f', now))
end

local function split(rest)
  local at = string.find(rest, ':', 2, true)
  return string.sub(rest, 2, at - 1), string.sub(rest, at + 1)
end

local function refresh(h, key, base, rest, now)
  expire(h, key)
  if h.total > 0 then expire(h, base .. 'l' .. rest) end
  if h.turns + h.updates > 0 then expire(h, base .. 'o' .. rest) end
  if bit.band(h.flags, STEPS) > 0 then expire(h, journal(base, rest, h.running)) end
  for _, w in ipairs(waiters(h)) do
    if w.steps > 0 then expire(h, journal(base, rest, w.id)) end
  end
  local tenant, id = split(rest)
  index(base .. 'i:' .. tenant, h.phys == 0 and NEVER_BASE + h.created or h.phys, id, now)
end

-- Ends a life with all that belongs to it; the fence counter stays.
local function wipe(h, key, base, rest)
  local doomed = {key, base .. 'l' .. rest, base .. 'o' .. rest}
  local waits = {}
  if h.running ~= '' then
    waits[1] = member(rest, h.running)
    if bit.band(h.flags, STEPS) > 0 then doomed[4] = journal(base, rest, h.running) end
  end
  for _, w in ipairs(waiters(h)) do
    waits[#waits + 1] = member(rest, w.id)
    if w.steps > 0 then doomed[#doomed + 1] = journal(base, rest, w.id) end
  end
  for i = 1, #doomed, CHUNK do redis.call('UNLINK', unpack(doomed, i, math.min(i + CHUNK - 1, #doomed))) end
  for i = 1, #waits, CHUNK do redis.call('ZREM', base .. 'p', unpack(waits, i, math.min(i + CHUNK - 1, #waits))) end
  local tenant, id = split(rest)
  redis.call('ZREM', base .. 'i:' .. tenant, id)
end

-- Writes the head, with more fields of the hash where given, and moves the expiry if that is due.
local function save(h, key, base, rest, now, ...)
  local due = stretch(h)
  redis.call('HSET', key, 'm', packed(h), ...)
  if due then refresh(h, key, base, rest, now) end
end

local function tell(base, rest, hint)
  redis.call('PUBLISH', base .. 'c' .. rest, hint)
end

-- --- outcomes -----------------------------------------------------------------------------------------------------
-- A hash of its own: "t"/"u" + id -> outcome; "#t0", "#t1".. the ring: when stored + whose it is; "#" marks it whole.

local function outcome_of(h, base, rest, op, age, now)
  if h.turns + h.updates == 0 then return nil end
  local found = redis.call('HMGET', base .. 'o' .. rest, op, '#')
  if not found[2] then corrupt('outcomes are missing') end
  if not found[1] then return nil end
  local o, at = {}
  o.counter, o.cid, o.start, o.count, o.stored, o.fingerprint, at = struct.unpack(OUTCOME, found[1])
  if now - o.stored >= age then return nil end
  o.bytes = string.sub(found[1], at)
  return o
end

local function stored_reply(code, o, base, rest)
  local entries = {}
  if o.count > 0 then
    entries = redis.call('LRANGE', base .. 'l' .. rest, o.start, o.start + o.count - 1)
    if #entries ~= o.count then corrupt('log') end
  end
  return {struct.pack('<BI8c16I8', code, o.counter, o.cid, o.start) .. o.bytes, entries}
end

-- Makes room in the ring: returns the slot to write and the op to drop. Changes the head only.
local function take_slot(h, o, kind, limit, now)
  local n = kind == 't' and h.turns or h.updates
  if kind == 't' then h.turns = n + 1 else h.updates = n + 1 end
  if limit == 0 then
    h.dropped = now
    return nil, nil
  end
  local slot = '#' .. kind .. string.format('%.0f', n % limit)
  if n < limit then return slot, nil end
  local old = redis.call('HGET', o, slot)
  if not old then return slot, nil end
  local since, at = struct.unpack('<I8', old)
  if since > h.dropped then h.dropped = since end
  return slot, string.sub(old, at)
end

local function store(o, slot, old, op, value, now, first, h)
  if not slot then
    if first then redis.call('HSET', o, '#', '1') end
  else
    if old then redis.call('HDEL', o, old) end
    local since, new = struct.pack('<I8', now) .. op, nil
    if first then
      new = redis.call('HSET', o, op, value, slot, since, '#', '1') - 1
    else
      new = redis.call('HSET', o, op, value, slot, since)
    end
    if new < (old and 1 or 2) then
      -- The op was stored before (and is too old to count): its former slot must not drop this outcome.
      local all = redis.call('HGETALL', o)
      for i = 1, #all, 2 do
        if string.sub(all[i], 1, 1) == '#' and all[i] ~= slot and string.sub(all[i + 1], 9) == op then redis.call('HDEL', o, all[i]) end
      end
    end
  end
  if first and h.phys ~= 0 then redis.call('PEXPIREAT', o, h.phys) end
end

-- Updates that were resolved as rejected, by when. They lie beside the sessions: the delayed commit may meet none, or the
-- next life. A session with such marks says so in its flags, so that others pay nothing.

local function refused(base, rest, cid, age, now)
  local since = redis.call('ZSCORE', base .. 'n' .. rest, cid)
  return since and now - tonumber(since) < age
end

local function refuse(base, rest, cid, age, now)
  local name = base .. 'n' .. rest
  redis.call('ZREMRANGEBYSCORE', name, '-inf', now - age)
  redis.call('ZADD', name, now, cid)
  redis.call('PEXPIRE', name, math.max(age, 1000))
end

-- --- turns --------------------------------------------------------------------------------------------------------

local function lease_left(h, now)
  return (h.running ~= '' and h.lease > now) and h.lease - now or 0
end

-- No turn runs any more.
local function idle(h)
  h.running, h.token, h.asked, h.handler, h.lease, h.place, h.due, h.order, h.attempt = '', '', '', '', 0, 0, 0, 0, 0
end

-- Puts the running turn among the waiting ones; returns the hash fields that this changes.
local function set_aside(h, key)
  local entry = redis.call('HGET', key, 'r')
  if not entry then corrupt('an accepted input is missing') end
  local input = struct.pack(INPUT, #h.asked, h.asked, #h.handler, h.handler) .. entry
  local list = waiters(h)
  local w = {order = h.order, place = h.place, due = h.due, attempt = h.attempt, token = h.token, id = h.running,
    steps = bit.band(h.flags, STEPS)}
  list[#list + 1] = w
  idle(h)
  h.flags = h.flags - bit.band(h.flags, STEPS)
  return w, '+' .. w.id, input
end

local function granted(h, key, base, rest, rec, snapshot, takeover, now)
  local reply = struct.pack('<BI8I4c16I8BI8', 71, h.fence, h.attempt, h.inc, now, rec, h.expires)
  local steps = bit.band(h.flags, STEPS) > 0
  if rec < 2 and not steps and not takeover then return reply end
  local journaled = false
  if steps then
    journaled = redis.call('LRANGE', journal(base, rest, h.running), 0, -1)
    if #journaled == 0 then corrupt('journal') end
  end
  local entry = takeover and redis.call('HGET', key, 'r')
  if takeover and not entry then corrupt('an accepted input is missing') end
  return {reply, snapshot[1] or false, snapshot[2] or false, journaled, entry}
end

-- 0: nothing committed yet; 1: the caller's copy is current; 2: fields and tail, as they are before this call's writes.
local function snapshot_of(h, key, base, rest, known, tail)
  if h.counter == 0 then return 0, {} end
  if known ~= '' and known == string.sub(h.cid, 1, 4) .. string.sub(h.cid, 13) then return 1, {} end
  local log = base .. 'l' .. rest
  if redis.call('LLEN', log) ~= h.total then corrupt('log') end
  return 2, {redis.call('HGETALL', key), tail > 0 and redis.call('LRANGE', log, -tail, -1) or {}}
end

local function begin(keys, args)
  local key, a = keys[1], args[1]
  local base, rest = siblings(key)
  local flags, token, known, asked, turn, at = struct.unpack('<BBc0Bc0Bc0I2c0', a)
  local wide = bit.band(flags, 2) > 0
  local lease_ms, place_ms, tail, age, ttl, max_age, indexed
  lease_ms, place_ms, tail, age, at = struct.unpack(wide and '<I8I8I8I8' or '<I4I4I4I4', a, at)
  if bit.band(flags, 1) > 0 then
    ttl, max_age, at = struct.unpack(wide and '<I8I8' or '<I4I4', a, at)
  end
  local handler, user = '', ''
  if bit.band(flags, 4) > 0 then handler, at = struct.unpack('<I2c0', a, at) end
  if bit.band(flags, 8) > 0 then user, indexed, at = struct.unpack('<I2c0I8', a, at) end

  local now = clock()
  local h, dead = head_of(key, base, rest, now)
  local mine, mine_at, input
  local running = false
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
    else
      local o = outcome_of(h, base, rest, 't' .. turn, age, now)
      if o then
        if asked ~= '' and o.fingerprint ~= asked then return 'M' end
        return stored_reply(80, o, base, rest)
      end
    end
  end
  local accepted = running or mine
  if not accepted and asked == '' then return 'A' end
  if not h and not ttl then return 'B' end

  if h then
    if running and now < h.lease then
      if h.token == token then
        local rec, snapshot = snapshot_of(h, key, base, rest, known, tail)
        return granted(h, key, base, rest, rec, snapshot, asked == '', now)
      end
      if bit.band(h.flags, JOINED) == 0 then
        h.flags = h.flags + JOINED
        redis.call('HSET', key, 'm', packed(h))
      end
      return struct.pack('<BI8', 82, h.lease - now)
    end
    local order = running and h.order or (mine and mine.order or h.arrivals + 1)
    local ahead = 0
    if h.waiting > 0 then
      for _, w in ipairs(waiters(h)) do
        if w.order < order and now < w.place then ahead = ahead + 1 end
      end
    end
    local leased = 0
    if h.running ~= '' and not running then
      if h.order < order and now < h.place then ahead = ahead + 1 end
      if now < h.lease then leased = 1 end
    end
    if leased + ahead > 0 then
      if place_ms == 0 then return struct.pack('<BI8', 89, lease_left(h, now)) end
      local till = now + place_ms
      hold(h, till)
      if bit.band(h.flags, JOINED) == 0 then h.flags = h.flags + JOINED end
      if running then
        h.token, h.place, h.due = token, till, till
        save(h, key, base, rest, now)
      elseif mine then
        mine.token, mine.place, mine.due = token, till, till
        save(h, key, base, rest, now)
      else
        h.arrivals = order
        local list = waiters(h)
        list[#list + 1] = {order = order, place = till, due = till, attempt = 0, steps = 0, token = token, id = turn}
        save(h, key, base, rest, now, '+' .. turn, struct.pack(INPUT, #asked, asked, #handler, handler) .. args[2])
      end
      redis.call('ZADD', base .. 'p', till, member(rest, turn))
      return struct.pack('<BI4I8', 81, ahead + leased, lease_left(h, now))
    end
  end

  -- Granted: from here on it writes.
  local rec, snapshot = 0, {}
  if h then rec, snapshot = snapshot_of(h, key, base, rest, known, tail) end
  local aside, aside_input, entry
  if h and h.running ~= '' and not running then
    local _
    _, aside, aside_input = set_aside(h, key)
  end
  if dead then wipe(dead, key, base, rest) end
  local fence = redis.call('INCR', base .. 'f')
  -- A member that is never due keeps the index from being made and dropped with every turn.
  if fence == 1 then redis.call('ZADD', base .. 'p', '+inf', '-') end
  if not h then h = born(string.sub(token .. NO_COMMIT, 1, 8) .. struct.pack('<I8', fence), user, ttl, max_age, indexed or 0, now,
    redis.call('EXISTS', base .. 'n' .. rest) > 0) end
  if mine then
    h.order, h.attempt = mine.order, mine.attempt
    h.flags = h.flags + mine.steps
    table.remove(waiters(h), mine_at)
    h.waiting = #h.list
    local from
    h.asked, h.handler, from = struct.unpack(INPUT, input)
    entry = string.sub(input, from)
  elseif not running then
    h.arrivals = h.arrivals + 1
    h.order, h.attempt, h.asked, h.handler = h.arrivals, 0, asked, handler
    entry = args[2]
  end
  h.fence, h.running, h.lease, h.token = fence, turn, now + lease_ms, token
  h.place, h.due, h.attempt = 0, h.lease, h.attempt + 1
  hold(h, h.lease)
  if aside then
    save(h, key, base, rest, now, 'r', entry, aside, aside_input)
  elseif entry then
    save(h, key, base, rest, now, 'r', entry)
  else
    save(h, key, base, rest, now)
  end
  if mine then redis.call('HDEL', key, '+' .. turn) end
  redis.call('ZADD', base .. 'p', h.due, member(rest, turn))
  return granted(h, key, base, rest, rec, snapshot, asked == '', now)
end

-- The living head if this holder may journal and renew; its lease is lengthened then.
local function held(key, base, rest, turn, fence, lease_ms, now)
  local h = head_of(key, base, rest, now)
  if not h or h.running ~= turn or h.fence ~= fence then return nil end
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
  local j, first = journal(base, rest, turn), bit.band(h.flags, STEPS) == 0
  local step = string.sub(args[1], at)
  if first then
    redis.call('UNLINK', j)
    redis.call('RPUSH', j, step)
    h.flags = h.flags + STEPS
  elseif redis.call('RPUSHX', j, step) == 0 then
    corrupt('journal')
  end
  save(h, key, base, rest, now)
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
  save(h, key, base, rest, now)
  redis.call('ZADD', base .. 'p', h.due, member(rest, turn))
  return 'K'
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

local function release(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local withdraw, token, turn = struct.unpack('<BBc0I2c0', args[1])
  local h = head_of(key, base, rest, now)
  if not h then return 'K' end
  local mine = h.running == turn and h or find_waiter(h, turn)
  if not mine or mine.token ~= token then return 'K' end
  local w, field, input = let_go(h, key, turn, now)
  if withdraw == 1 then
    local _, at = find_waiter(h, turn)
    table.remove(h.list, at)
    h.waiting = #h.list
    if not pending_left(h) then h.hold = 0 end
    if h.counter == 0 and not pending_left(h) then
      wipe(h, key, base, rest)
    else
      if field then save(h, key, base, rest, now, 'r', '') else save(h, key, base, rest, now) end
      if not field then redis.call('HDEL', key, '+' .. turn) end
    end
    if w.steps > 0 then redis.call('UNLINK', journal(base, rest, turn)) end
    redis.call('ZREM', base .. 'p', member(rest, turn))
  else
    if field then
      save(h, key, base, rest, now, 'r', '', field, input)
    else
      save(h, key, base, rest, now)
    end
    redis.call('ZADD', base .. 'p', now, member(rest, turn))
  end
  tell(base, rest, 'release')
  return 'K'
end

local function resolve(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local fence, age_ms, age, kind, op = struct.unpack('<I8I8I8c1I2c0', args[1])
  local h = head_of(key, base, rest, now)
  if h then
    local o = outcome_of(h, base, rest, kind .. op, age, now)
    if o then return stored_reply(80, o, base, rest) end
  end
  if kind == 'u' and refused(base, rest, op, age, now) then return 'J' end
  if h and kind == 't' and h.fence <= fence and (h.running == op or find_waiter(h, op)) then
    -- Certain, whatever a ring has dropped: this attempt's commit would have ended the pending turn.
    local _, field, input = let_go(h, key, op, now)
    h.fence = redis.call('INCR', base .. 'f')
    if field then
      save(h, key, base, rest, now, 'r', '', field, input)
    else
      save(h, key, base, rest, now)
    end
    redis.call('ZADD', base .. 'p', now, member(rest, op))
    tell(base, rest, 'release')
    return 'J'
  end
  if h and (h.dropped >= now - age_ms or (age > 0 and age_ms >= age)) then return 'U' end
  if kind == 'u' then
    refuse(base, rest, op, age, now)
    if h and bit.band(h.flags, MARKED) == 0 then
      h.flags = h.flags + MARKED
      save(h, key, base, rest, now)
    end
  end
  return 'J'
end

-- --- commit -------------------------------------------------------------------------------------------------------

-- Appends to the log, or undoes it and fails: the length after the push is the integrity check.
local function append(log, total, entry, args, from, till)
  local push = total > 0 and 'RPUSHX' or 'RPUSH'
  local n, len = till - from + 1, 0
  if entry ~= '' then
    n = n + 1
    if n <= CHUNK then
      len = redis.call(push, log, entry, unpack(args, from, till))
    else
      len = redis.call(push, log, entry)
    end
  elseif n <= CHUNK then
    len = redis.call(push, log, unpack(args, from, till))
  end
  if n > CHUNK and (len > 0 or entry == '') then
    for i = from, till, CHUNK do
      len = redis.call(push, log, unpack(args, i, math.min(i + CHUNK - 1, till)))
      if len == 0 then break end
    end
  end
  if len ~= total + n then
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

local function commit(keys, args)
  local key, a = keys[1], args[1]
  local base, rest = siblings(key)
  local flags, cid, fence, length, tag, inc, based, sets, dels, at = struct.unpack('<I2c16I8I2Bc0Bc0c8I2I2', a)
  local wide = bit.band(flags, 4) > 0
  local ttl, b_ttl, b_max_age, indexed
  local user, turn = '', nil
  local age, turn_limit, update_limit = 86400000, 256, 64
  if flags >= 8 then
    if bit.band(flags, 8) > 0 then ttl, at = struct.unpack(wide and '<I8' or '<I4', a, at) end
    if bit.band(flags, 16) > 0 then b_ttl, b_max_age, at = struct.unpack(wide and '<I8I8' or '<I4I4', a, at) end
    if bit.band(flags, 32) > 0 then user, indexed, at = struct.unpack('<I2c0I8', a, at) end
    if bit.band(flags, 64) > 0 then turn, at = struct.unpack('<I2c0', a, at) end
    if bit.band(flags, 128) > 0 then age, turn_limit, update_limit, at = struct.unpack('<I8I4I4', a, at) end
  end
  local must, fresh = bit.band(flags, 256) > 0, bit.band(flags, 512) > 0
  local counters_at, appends = at, #args - 1 - 2 * sets - dels
  at = at + (sets + dels) * (wide and 8 or 4)

  local now = clock()
  local found = redis.call('HMGET', key, 'm', 'r')
  local h, dead = living(key, base, rest, found[1], now)
  if not h then
    if must or inc ~= '' or fence > 0 then return 'G' end
  else
    if must and fence == 0 and h.counter == 0 then return 'G' end
    if inc ~= '' and inc ~= string.sub(h.inc, 1, #inc) then return 'G' end
    if user ~= '' and h.user ~= '' and h.user ~= user then return 'W' end
  end

  -- A fence names its grant: while it is the highest and its turn runs, the client need not send the whole turn id.
  local mine, direct, fingerprint, entry = nil, false, '', ''
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
      if seen then return stored_reply(83, seen, base, rest) end
      mine = h.running ~= turn and find_waiter(h, turn)
    end
  elseif h then
    local seen = outcome_of(h, base, rest, 'u' .. cid, age, now)
    if seen then return stored_reply(83, seen, base, rest) end
  end
  if fence == 0 and (not h or bit.band(h.flags, MARKED) > 0) and refused(base, rest, cid, age, now) then return 'F' end
  if fresh and h and h.counter > 0 then return 'N' end
  if fence > 0 and not direct and (not mine or h.fence ~= fence) then return 'F' end
  if mine then
    local input = redis.call('HGET', key, '+' .. turn)
    if not input then corrupt('an accepted input is missing') end
    local handler, from
    fingerprint, handler, from = struct.unpack(INPUT, input)
    entry = string.sub(input, from)
  end

  local on_base
  if not h or h.counter == 0 then
    on_base = bit.band(flags, 2) == 0
  else
    on_base = bit.band(flags, 2) > 0 and based == string.sub(h.cid, 1, 4) .. string.sub(h.cid, 13)
  end
  local first_set, first_del = 2 + appends, 2 + appends + 2 * sets
  if not on_base then
    if bit.band(flags, 1) > 0 then return {'X'} end
    if sets + dels > 0 then
      local names, counters, one = {}, {}, wide and '<I8' or '<I4'
      for i = 1, sets do names[i] = args[first_set + 2 * i - 2] end
      for i = 1, dels do names[sets + i] = args[first_del + i - 1] end
      for i = 1, sets + dels do counters[i], counters_at = struct.unpack(one, a, counters_at) end
      local names_found = conflicts(h and key, names, counters, wide and 9e15 or 4294967295)
      if #names_found > 0 then return {'X', names_found} end
    end
  end

  -- It applies: from here on it writes, the log first, because that is where a damaged session shows.
  if not h then
    if dead then wipe(dead, key, base, rest) end
    h = born(cid, user, b_ttl, b_max_age, indexed or 0, now, redis.call('EXISTS', base .. 'n' .. rest) > 0)
  end
  local start, total = h.total, h.total
  local touch = fence == 0 and sets + dels + appends == 0 and #a < at
  local added = 0
  if entry ~= '' or appends > 0 then
    added = append(base .. 'l' .. rest, total, entry, args, 2, 1 + appends)
    h.total = total + added
  end
  if ttl then h.ttl = ttl end
  h.expires = slid(now, h.created, h.ttl, h.max_age)
  h.used = now
  local waited = bit.band(h.flags, JOINED) > 0 or h.waiting > 0
  local journaled = false
  if direct then
    journaled = bit.band(h.flags, STEPS) > 0
    idle(h)
    h.flags = bit.band(h.flags, MARKED)
  elseif mine then
    local _, mine_at = find_waiter(h, turn)
    journaled = mine.steps > 0
    table.remove(h.list, mine_at)
    h.waiting = #h.list
  end
  if not pending_left(h) then h.hold = 0 end
  local first, slot, old = h.turns + h.updates == 0, nil, nil
  if not touch then
    h.counter, h.cid = h.counter + 1, cid
    slot, old = take_slot(h, o, fence > 0 and 't' or 'u', fence > 0 and turn_limit or update_limit, now)
  end
  local due = stretch(h)

  local write, n = {key, 'm', packed(h)}, 3
  if direct then write[4], write[5], n = 'r', '', 5 end
  local stamp = sets > 0 and struct.pack('<I8', h.counter)
  for i = first_set, first_set + 2 * sets - 1, 2 do
    write[n + 1], write[n + 2] = args[i], stamp .. args[i + 1]
    n = n + 2
    if n >= CHUNK then
      redis.call('HSET', unpack(write, 1, n))
      n = 1
    end
  end
  if n > 1 then redis.call('HSET', unpack(write, 1, n)) end
  if mine then redis.call('HDEL', key, '+' .. turn) end
  for i = first_del, #args, CHUNK do
    redis.call('HDEL', key, unpack(args, i, math.min(i + CHUNK - 1, #args)))
  end
  if not touch then
    local op = fence > 0 and 't' .. turn or 'u' .. cid
    store(o, slot, old, op, struct.pack(OUTCOME, h.counter, cid, start, added, now, #fingerprint, fingerprint) .. string.sub(a, at),
      now, first, h)
  end
  if turn then
    redis.call('ZREM', base .. 'p', member(rest, turn))
    if journaled then redis.call('UNLINK', journal(base, rest, turn)) end
  end
  if due then
    refresh(h, key, base, rest, now)
  elseif added > 0 and total == 0 and h.phys ~= 0 then
    redis.call('PEXPIREAT', base .. 'l' .. rest, h.phys)
  end
  if waited then tell(base, rest, 'commit') end
  return struct.pack('<BI8c16c16I8I8I8BB', 67, h.counter, h.cid, h.inc, start, h.expires, now, on_base and 1 or 0, unindexed(h))
end

-- --- the rest -----------------------------------------------------------------------------------------------------

local function load(keys, args)
  local key = keys[1]
  local base, rest = siblings(key)
  local h = head_of(key, base, rest, clock())
  if not h or h.counter == 0 then return false end
  local tail = tonumber(args[2])
  local rec, snapshot = snapshot_of(h, key, base, rest, args[1], tail)
  if rec == 1 then return struct.pack('<BI8', 85, h.expires) end
  return snapshot
end

local function delete(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local m = redis.call('HGET', key, 'm')
  local good, h = pcall(parse, m)
  if not good then
    -- Half or damaged: whatever there is goes, and with it the journals whose turns are still named.
    local doomed = {key, base .. 'l' .. rest, base .. 'o' .. rest}
    for _, name in ipairs(redis.call('HKEYS', key)) do
      if string.sub(name, 1, 1) == '+' then doomed[#doomed + 1] = journal(base, rest, string.sub(name, 2)) end
    end
    local gone = 0
    for i = 1, #doomed, CHUNK do
      gone = gone + redis.call('UNLINK', unpack(doomed, i, math.min(i + CHUNK - 1, #doomed)))
    end
    local tenant, id = split(rest)
    redis.call('ZREM', base .. 'i:' .. tenant, id)
    return {gone > 0 and 1 or 0, '', 0}
  end
  wipe(h, key, base, rest)
  if h.expires ~= 0 and now >= h.expires and now >= h.hold then return {0, '', 0} end
  tell(base, rest, 'delete')
  return {h.counter > 0 and 1 or 0, h.user, string.format('%.0f', h.indexed)}
end

-- Is this turn really pending, and overdue? Else its index entry is mended.
local function overdue(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local turn = args[1]
  local m = redis.call('HGET', key, 'm')
  local good, h = pcall(parse, m)
  local mine
  if good and not (h.expires ~= 0 and now >= h.expires and now >= h.hold) then
    mine = h.running == turn and h or find_waiter(h, turn)
  end
  if not mine then
    redis.call('ZREM', base .. 'p', member(rest, turn))
    return false
  end
  if mine.due > now then
    redis.call('ZADD', base .. 'p', mine.due, member(rest, turn))
    return false
  end
  local handler = h.handler
  if mine ~= h then
    local input, _ = redis.call('HGET', key, '+' .. turn)
    if not input then return false end
    _, handler = struct.unpack(INPUT, input)
  end
  return {handler, mine.attempt, string.format('%.0f', mine.due)}
end

-- A user's index, in the user's partition: an entry stays at least until its score, which is then renewed.
local function index_user(keys, args)
  local now = clock()
  local ttl = tonumber(args[2])
  local score = ttl == 0 and NEVER_BASE + now or now + 2 * ttl + 600000
  index(keys[1], score, args[1], now)
  return string.format('%.0f', score)
end

-- Drops an entry unless it was renewed since (by whoever gives this id a new life).
local function unindex_user(keys, args)
  local score = redis.call('ZSCORE', keys[1], args[1])
  if score and tonumber(score) <= tonumber(args[2]) then return redis.call('ZREM', keys[1], args[1]) end
  return 0
end

-- Notes in the session until when its user's index surely lists it.
local function note_indexed(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local h = head_of(key, base, rest, now)
  if not h or h.inc ~= args[1] then return 0 end
  local till = tonumber(args[2])
  if till > h.indexed then
    h.indexed = till
    redis.call('HSET', key, 'm', packed(h))
  end
  return 1
end

-- Tries every command that the others use, on a key of its own, so that missing rights show before anything depends on
-- them: a command refused in the middle of a commit would leave half of it.
local function probe(keys, args)
  local key = keys[1]
  redis.call('UNLINK', key)
  redis.call('RPUSH', key, '1')
  redis.call('RPUSHX', key, '2')
  redis.call('LTRIM', key, 0, -1)
  redis.call('LRANGE', key, 0, -1)
  redis.call('LLEN', key)
  redis.call('EXISTS', key)
  redis.call('UNLINK', key)
  redis.call('HSET', key, 'a', '1')
  redis.call('HGET', key, 'a')
  redis.call('HMGET', key, 'a', 'b')
  redis.call('HGETALL', key)
  redis.call('HKEYS', key)
  redis.call('HDEL', key, 'b')
  redis.call('PEXPIREAT', key, clock() + 60000)
  redis.call('PEXPIRETIME', key)
  redis.call('PERSIST', key)
  redis.call('UNLINK', key)
  redis.call('ZADD', key, 'GT', 1, 'a')
  redis.call('ZSCORE', key, 'a')
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(0')
  redis.call('ZREM', key, 'a')
  redis.call('INCR', key)
  redis.call('SET', key, '1', 'PX', 1000)
  redis.call('PUBLISH', key, 'probe')
  redis.call('UNLINK', key)
  return 'K'
end

local function offer(letter, callback, ...)
  redis.register_function{function_name = 'h@tag@' .. letter, callback = callback, flags = {...}}
end

offer('b', begin)
offer('c', commit)
offer('r', record)
offer('n', renew)
offer('x', release, 'allow-oom')
offer('v', resolve, 'allow-oom')
offer('l', load, 'no-writes')
offer('d', delete, 'allow-oom')
offer('o', overdue, 'allow-oom')
offer('u', index_user)
offer('w', unindex_user, 'allow-oom')
offer('k', note_indexed, 'allow-oom')
offer('p', probe, 'allow-oom')
