-- The contract's writes (backends/contract.py) as Redis functions; the decisions are those of backends/rules.py.
-- The files of this folder are one library, put together by library.py in the order named there. Servers without
-- functions (Redis 6.2) run the same text as one script, with script.lua at its end: only commands that 6.2 has.
--
-- Every function gets one key, the session hash `<prefix>:{p}:s:<tenant>:<id>`, and derives its siblings, which share
-- the hash tag `{p}` and so the Cluster slot. Numbers come packed in one binary argument (packing.py mirrors it).
-- A function checks everything before its first write: a script that fails half-way is not rolled back.
-- `@tag@` stands for a digest of this text, so that several releases live side by side on one server.
--
-- What costs here, in this order: commands (0.5 us each beside their work), bytes that become Lua strings (Redis's Lua
-- hashes all of them: 1.3 us a KB), new tables. So an input goes from its field to the log as it is, ids are compared
-- as numbers, and one table serves all calls.

local HOLD = 60000                -- contract.HOLD_MS
local NEVER_BASE = 4503599627370496   -- index score of what never expires: 2^52 + its age
local INDEX_SLACK = 300000        -- a user's index entry is renewed when it lasts less than this past the session
local CHUNK = 4000                -- unpack() of some 8000 values fails

-- Fields of the session hash: "m" the life (META; FIXED is its size without asked, user, running and the waiting turns),
-- "t" the running turn's lease (TURN), "r" its input, "+<turn id>" a waiting turn's input behind INPUT, "=<name>" state.
local META = '<I4BBI4c12I4c8I4I8I8I8I8I8I8I8I8I8I8I8I8I8I8I4Bc0I2c0I2c0I2'
local FIXED = 161
local FORMAT, PAGED = 1, 2        -- a head with pages (pages.lua) has the number of entries in them at its very end
local TURN = '<I8I8I8I4I4Bc0I2c0'  -- lease, place, due, order, attempt, token, handler
local WAIT = '<I4I8I8I4BBc0I2c0'   -- a pending turn that is not running: order, place, due, attempt, steps, token, id
local INPUT = '<Bc0I2c0'           -- fingerprint, handler; then the accepted log entry
-- Flags: somebody waits for the running turn; it has a journal; see refused(); it was signalled since it was granted.
local JOINED, STEPS, MARKED, SIGNALLED = 1, 2, 4, 8
local PARKED = 9                   -- bytes of a parked turn's token (rules.parked_token); a runner's has 8

local function corrupt(what)
  error({err = 'HFCORRUPT ' .. what})
end

local function has(flags, one)
  return flags ~= 0 and bit.band(flags, one) ~= 0
end

local function clock()
  local t = redis.call('TIME')
  local us = t[2] + 0
  return t[1] * 1000 + (us - us % 1000) / 1000
end

-- '<prefix>:{p}:' and ':<tenant>:<id>'
local function siblings(key)
  local at = string.find(key, '}:s:', 1, true)
  return string.sub(key, 1, at + 1), string.sub(key, at + 3)
end

local function split(rest)
  local at = string.find(rest, ':', 2, true)
  return string.sub(rest, 2, at - 1), string.sub(rest, at + 1)
end

local function safe(text)
  return (string.gsub(text, '[^%w_.~-]', function(c) return string.format('%%%02X', string.byte(c)) end))
end

local function journal(base, rest, turn)
  return base .. 'j' .. rest .. ':' .. safe(turn)
end

-- One table for all calls, filled anew by each: making one costs more than the rest of the parsing.
local HEAD = {}

local function parse(m)
  local len, version, flags, inc1, inc2, c1, c2, c3, counter, created, ttl, max_age, expires, hold, used, fence, turns,
    updates, dropped, total, phys, indexed, arrivals, asked, user, running, waiting, at = struct.unpack(META, m)
  if version ~= FORMAT and version ~= PAGED then error({err = 'HFFORMAT ' .. version}) end
  if len ~= #m then corrupt('meta') end
  local h = HEAD
  h.flags, h.inc1, h.inc2, h.c1, h.c2, h.c3, h.counter = flags, inc1, inc2, c1, c2, c3, counter
  h.created, h.ttl, h.max_age, h.expires, h.hold, h.used = created, ttl, max_age, expires, hold, used
  h.fence, h.turns, h.updates, h.dropped, h.total = fence, turns, updates, dropped, total
  h.phys, h.indexed, h.arrivals, h.asked, h.user, h.running = phys, indexed, arrivals, asked, user, running
  h.waiting, h.list, h.new, h.paged = waiting, nil, nil, 0
  if version == PAGED then
    h.queue, h.paged = string.sub(m, at, -9), struct.unpack('<I8', m, len - 7)
    if h.paged >= total then corrupt('meta') end
  else
    h.queue = waiting > 0 and string.sub(m, at) or ''
  end
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
  local asked, user, running, queue = h.asked, h.user, h.running, h.queue
  local extra = h.paged > 0 and 8 or 0
  local m = struct.pack(META, FIXED + #asked + #user + #running + #queue + extra, extra > 0 and PAGED or FORMAT, h.flags, h.inc1, h.inc2, h.c1, h.c2,
    h.c3, h.counter, h.created, h.ttl, h.max_age, h.expires, h.hold, h.used, h.fence, h.turns, h.updates, h.dropped,
    h.total, h.phys, h.indexed, h.arrivals, #asked, asked, #user, user, #running, running, h.waiting)
  if extra > 0 then return m .. queue .. struct.pack('<I8', h.paged) end
  return queue == '' and m or m .. queue
end

-- Brings the running turn's lease into the head.
local function with_turn(h, key)
  local t = redis.call('HGET', key, 't')
  if not t then corrupt('the running turn is missing') end
  h.lease, h.place, h.due, h.order, h.attempt, h.token, h.handler = struct.unpack(TURN, t)
end

local function packed_turn(h)
  return struct.pack(TURN, h.lease, h.place, h.due, h.order, h.attempt, #h.token, h.token, #h.handler, h.handler)
end

local function slid(now, created, ttl, max_age)
  local sliding, cap = now + ttl, created + max_age
  if ttl == 0 then return max_age == 0 and 0 or cap end
  return (max_age ~= 0 and cap < sliding) and cap or sliding
end

local function born(inc1, inc2, user, ttl, max_age, indexed, marked, now)
  return {flags = marked and MARKED or 0, inc1 = inc1, inc2 = inc2, c1 = 0, c2 = '\0\0\0\0\0\0\0\0', c3 = 0,
    counter = 0, created = now, ttl = ttl, max_age = max_age, expires = slid(now, now, ttl, max_age), hold = 0,
    used = now, fence = 0, turns = 0, updates = 0, dropped = 0, total = 0, paged = 0, phys = 0, indexed = indexed, arrivals = 0,
    asked = '', user = user, running = '', waiting = 0, queue = '', new = true}
end

-- Fences of all sessions of a partition come from one counter, which outlives them; see rules.fence_of.
local function next_fence(base, token)
  local number = redis.call('INCR', base .. 'f')
  -- A member that is never due keeps the index from being made and dropped with every turn.
  if number == 1 then redis.call('ZADD', base .. 'p', '+inf', '-') end
  return number * 65536 + (token and struct.unpack('<I2', token .. '\0\0') or 0)
end

-- Sixteen bytes that no other life has: eight random ones of the caller's, and a fence.
local function new_incarnation(random, fence)
  return struct.unpack('<I4c12', string.sub(random .. '\0\0\0\0\0\0\0\0', 1, 8) .. struct.pack('<I8', fence))
end

-- The living head, or nil and the head of a life that is over but still there.
local function living(key, base, rest, m, now)
  if not m then
    if redis.call('EXISTS', key) + redis.call('EXISTS', base .. 'l' .. rest) > 0 then corrupt('half a session') end
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

-- Should the client renew this session's entry in its user's index?
local function unindexed(h)
  if h.user == '' then return false end
  local till = ends(h)
  return h.indexed < (till == 0 and NEVER_BASE or till + INDEX_SLACK)
end

local function find_waiter(h, turn)
  if h.waiting == 0 and not h.list then return nil end
  for i, w in ipairs(waiters(h)) do
    if w.id == turn then return w, i end
  end
end

local function drop_waiter(h, at)
  table.remove(waiters(h), at)
  h.waiting = #h.list
end

local function add_waiter(h, w)
  local list = waiters(h)
  list[#list + 1] = w
  h.waiting = #list
end

local function pending_left(h)
  return h.running ~= '' or h.waiting > 0
end

local function hold(h, till)
  if till + HOLD > h.hold then h.hold = till + HOLD end
end

local function tell(base, rest, hint)
  redis.call('PUBLISH', base .. 'c' .. rest, hint)
end

-- --- expiry -------------------------------------------------------------------------------------------------------
-- What ends a session is its meta, exactly. The keys' own expiry only frees the memory: it is set later than that, so
-- that it has to be moved once in a while instead of with every turn.

local function stretch(h)
  local till = ends(h)
  if till == 0 then
    if h.new or h.phys ~= 0 then
      h.phys = 0
      return true
    end
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
  local left = redis.call('PTTL', name)  -- Redis 6.2 has no PEXPIRETIME
  redis.call('ZADD', name, 'GT', score, id)
  if score >= NEVER_BASE then
    if left >= 0 then redis.call('PERSIST', name) end
  elseif left == -2 or (left >= 0 and now + left < score) then
    redis.call('PEXPIREAT', name, score)
  end
  redis.call('ZREMRANGEBYSCORE', name, '-inf', string.format('(%.0f', now))
end

local function refresh(h, key, base, rest, now)
  expire(h, key)
  if h.total > 0 then expire(h, base .. 'l' .. rest) end
  if h.paged > 0 then expire(h, base .. 'z' .. rest) end
  if h.turns + h.updates > 0 then expire(h, base .. 'o' .. rest) end
  if has(h.flags, STEPS) then expire(h, journal(base, rest, h.running)) end
  for _, w in ipairs(waiters(h)) do
    if w.steps > 0 then expire(h, journal(base, rest, w.id)) end
  end
  local tenant, id = split(rest)
  index(base .. 'i:' .. tenant, h.phys == 0 and NEVER_BASE + h.created or h.phys, id, now)
end

-- Writes the head, with more fields of the hash where given, and moves the expiry if that is due.
local function save(h, key, base, rest, now, ...)
  local due = stretch(h)
  redis.call('HSET', key, 'm', packed(h), ...)
  if due then refresh(h, key, base, rest, now) end
end

local function in_chunks(command, name, list)
  local n = 0
  for i = 1, #list, CHUNK do
    n = n + redis.call(command, name, unpack(list, i, math.min(i + CHUNK - 1, #list)))
  end
  return n
end

-- A member of the index of pending turns, ":<tenant>:<id>:<turn id>".
local function member(rest, turn)
  return rest .. ':' .. turn
end

-- One key a command: a Cluster node that is taking a slot over refuses several of which one is missing.
local function unlink(key, others)
  local gone = redis.call('UNLINK', key)
  for _, name in ipairs(others) do gone = gone + redis.call('UNLINK', name) end
  return gone
end

-- Ends a life with all that belongs to it; the fence counter stays.
local function wipe(h, key, base, rest)
  local doomed, waits = {base .. 'l' .. rest, base .. 'o' .. rest, base .. 'z' .. rest, base .. 'e' .. rest}, {}
  if h.running ~= '' then
    waits[1] = member(rest, h.running)
    if has(h.flags, STEPS) then doomed[5] = journal(base, rest, h.running) end
  end
  for _, w in ipairs(waiters(h)) do
    waits[#waits + 1] = member(rest, w.id)
    if w.steps > 0 then doomed[#doomed + 1] = journal(base, rest, w.id) end
  end
  unlink(key, doomed)
  in_chunks('ZREM', base .. 'p', waits)
  local tenant, id = split(rest)
  redis.call('ZREM', base .. 'i:' .. tenant, id)
end
