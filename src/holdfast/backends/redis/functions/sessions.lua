-- --- the rest -----------------------------------------------------------------------------------------------------

-- Without a known version it is what MULTI does faster: for a server that is out of memory, which refuses MULTI.
local function load(keys, args)
  local key, known = keys[1], args[1]
  local base, rest = siblings(key)
  local h = head_of(key, base, rest, clock())
  if not h or h.counter == 0 then return false end
  local k1, k3
  if known ~= '' then k1, k3 = struct.unpack('<I4I4', known) end
  local rec, snapshot = snapshot_of(h, key, base, rest, known ~= '', k1, k3, tonumber(args[2]))
  if rec == 1 then return struct.pack('<BI8', 85, h.expires) end
  return snapshot
end

-- A part of the log: of a session with pages, or for when MULTI is refused.
local function read_log(keys, args)
  local key = keys[1]
  local base, rest = siblings(key)
  local h = head_of(key, base, rest, clock())
  if not h or h.counter == 0 then return false end
  local log, start, count = base .. 'l' .. rest, tonumber(args[1]), tonumber(args[2])
  if redis.call('LLEN', log) ~= h.total - h.paged then corrupt('log') end
  local entries, pages, last = {}, nil, math.min(start + count, h.total)
  if last > start and last > h.paged then
    entries = redis.call('LRANGE', log, math.max(start - h.paged, 0), last - h.paged - 1)
  end
  if last > start and start < h.paged then pages = pages_of(h, base, rest, start, math.min(last, h.paged)) end
  return {h.total, entries, pages}
end

-- Half or damaged: whatever there is goes, and with it the journals whose turns are still named.
local function delete_damaged(key, base, rest)
  local doomed = {base .. 'l' .. rest, base .. 'o' .. rest, base .. 'z' .. rest}
  for _, name in ipairs(redis.call('HKEYS', key)) do
    if string.byte(name) == 43 then doomed[#doomed + 1] = journal(base, rest, string.sub(name, 2)) end
  end
  local gone = unlink(key, doomed)
  redis.call('UNLINK', base .. 'e' .. rest)  -- may outlast a session that has expired: not a sign of one
  local tenant, id = split(rest)
  redis.call('ZREM', base .. 'i:' .. tenant, id)
  return {gone > 0 and 1 or 0, '', '0'}
end

local function delete(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local good, h = pcall(parse, redis.call('HGET', key, 'm'))
  if not good then return delete_damaged(key, base, rest) end
  wipe(h, key, base, rest)
  if h.expires ~= 0 and now >= h.expires and now >= h.hold then return {0, '', '0'} end
  tell(base, rest, 'delete')
  return {h.counter > 0 and 1 or 0, h.user, string.format('%.0f', h.indexed)}
end

-- Is this turn really pending, and overdue? Else its index entry is mended.
local function overdue(keys, args)
  local key, turn, now = keys[1], args[1], clock()
  local base, rest = siblings(key)
  local good, h = pcall(parse, redis.call('HGET', key, 'm'))
  local mine
  -- A newer release wrote it, and knows what is pending there.
  if not good and string.find(tostring(type(h) == 'table' and h.err or h), 'HFFORMAT', 1, true) then return false end
  if good and not (h.expires ~= 0 and now >= h.expires and now >= h.hold) then
    if h.running == turn then
      with_turn(h, key)
      mine = h
    else
      mine = find_waiter(h, turn)
    end
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
    local input, _ = redis.call('HGET', key, '+' .. turn), nil
    if not input then return false end
    _, handler = struct.unpack(INPUT, input)
  end
  return {handler, mine.attempt, string.format('%.0f', mine.due)}
end

-- A user's index, in the user's partition: an entry stays at least until its score, which is then renewed.
local function index_user(keys, args)
  local now, ttl = clock(), tonumber(args[2])
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
  if not h or struct.pack('<I4c12', h.inc1, h.inc2) ~= args[1] then return 0 end
  local till = tonumber(args[2])
  if till > h.indexed then
    h.indexed = till
    redis.call('HSET', key, 'm', packed(h))
  end
  return 1
end

-- Tries every command that the others use, on a key of its own, so that missing rights show before anything depends on
-- them: a command refused in the middle of a commit would leave half of it. rights.py reads its list from here.
local function probe(keys, args)
  local key, missing = keys[1], {}
  local tries = {
    {'UNLINK'}, {'RPUSH', '1'}, {'RPUSHX', '2'}, {'LTRIM', 0, -1}, {'LRANGE', 0, -1}, {'LLEN'}, {'EXISTS'}, {'UNLINK'},
    {'HSET', 'a', '1'}, {'HGET', 'a'}, {'HMGET', 'a', 'b'}, {'HGETALL'}, {'HKEYS'}, {'HDEL', 'b'},
    {'PEXPIREAT', clock() + 60000}, {'PEXPIRE', 60000}, {'PTTL'}, {'PERSIST'}, {'UNLINK'},
    {'ZADD', 'GT', 1, 'a'}, {'ZSCORE', 'a'}, {'ZREMRANGEBYSCORE', '-inf', '(0'}, {'ZREM', 'a'}, {'INCR'},
    {'PUBLISH', 'probe'}, {'UNLINK'},
  }
  for _, try in ipairs(tries) do
    local reply = redis.pcall(try[1], key, unpack(try, 2))
    local text = type(reply) == 'table' and reply.err
    if text and (string.find(text, 'The user executing the script', 1, true) or string.find(text, '^NOPERM')) then
      missing[#missing + 1] = try[1]
    elseif text and not string.find(text, '^WRONGTYPE') then  -- that is what a missing UNLINK leaves behind
      error(reply)
    end
  end
  return #missing == 0 and '@library@' or missing
end

-- In a Cluster a slot may be half moved: some of a session's keys here, some there, and a call on a missing one would fail
-- in the middle of a function, after earlier writes. The server answers ASK for *any* missing key of a slot that it is
-- giving away, so each function first asks for one that never exists, and is refused as a whole. On the taking side this
-- says nothing: the client goes there only once the giving side has no key left. (Uncommented by library.py.)
--@cluster@ local function whole(callback)
--@cluster@   return function(keys, args)
--@cluster@     local found = redis.pcall('EXISTS', string.match(keys[1], '^[^}]*}') .. ':~')
--@cluster@     if found ~= 0 then
--@cluster@       local why = type(found) == 'table' and found.err or 'the canary exists'
--@cluster@       if not string.find(why, 'non local key', 1, true) then error({err = why}) end
--@cluster@       error({err = 'TRYAGAIN this slot is being moved'})
--@cluster@     end
--@cluster@     return callback(keys, args)
--@cluster@   end
--@cluster@ end

-- A script (script.lua) is asked for one function, by its last argument, and comes past here with every call.
local register, wanted, may_grow = redis.register_function, nil, false
local letter = not register and table.remove(ARGV)

local function offer(name, callback, ...)
  --@cluster@ callback = whole(callback)
  if register then
    register{function_name = 'h@tag@' .. name, callback = callback, flags = {...}}
  elseif name == letter then
    wanted, may_grow = callback, (...) == 'allow-oom'
  end
end

offer('b', begin)
offer('c', commit)
offer('r', record)
offer('n', renew)
offer('x', release, 'allow-oom')
offer('v', resolve, 'allow-oom')
offer('s', signal)
offer('z', park, 'allow-oom')
offer('e', append_events)
offer('f', read_events, 'no-writes')
offer('l', load, 'no-writes')
offer('g', read_log, 'no-writes')
offer('d', delete, 'allow-oom')
offer('o', overdue, 'allow-oom')
offer('u', index_user)
offer('w', unindex_user, 'allow-oom')
offer('k', note_indexed, 'allow-oom')
offer('p', probe, 'allow-oom')
offer('y', unpacked, 'no-writes')
offer('q', pack, 'allow-oom')
offer('t', take_rates)
