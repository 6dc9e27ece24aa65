-- --- outcomes -----------------------------------------------------------------------------------------------------
-- A hash of its own: "t"/"u" + id -> outcome; "#t0", "#t1".. the ring: when stored + whose it is; "#" marks it whole.

local OUTCOME = '<I8I4c8I4I8I4I8Bc0' -- counter, commit id, start, count, stored, fingerprint; then the outcome

local function outcome_of(h, base, rest, op, age, now)
  if h.turns + h.updates == 0 then return nil end
  local found = redis.call('HMGET', base .. 'o' .. rest, op, '#')
  if not found[2] then corrupt('outcomes are missing') end
  if not found[1] then return nil end
  local o, at = {}, nil
  o.counter, o.c1, o.c2, o.c3, o.start, o.count, o.stored, o.fingerprint, at = struct.unpack(OUTCOME, found[1])
  if now - o.stored >= age then return nil end
  o.bytes = string.sub(found[1], at)
  return o
end

-- The outcome with its entries; where they lie in pages, those, and how many entries are meant.
local function stored_reply(code, h, o, base, rest)
  local entries, pages, last = {}, nil, o.start + o.count
  if last > h.paged and o.count > 0 then
    local first = math.max(o.start, h.paged)
    entries = redis.call('LRANGE', base .. 'l' .. rest, first - h.paged, last - h.paged - 1)
    if #entries ~= last - first then corrupt('log') end
  end
  if o.start < h.paged and o.count > 0 then pages = pages_of(h, base, rest, o.start, math.min(last, h.paged)) end
  return {struct.pack('<BI8I4c8I4I8', code, o.counter, o.c1, o.c2, o.c3, o.start) .. o.bytes, entries, pages,
    pages and o.count}
end

-- The names of the slots seen so far: a number as text is dear.
local SLOTS = {t = {}, u = {}}

-- Makes room in the ring: returns the slot to write and the op to drop. Changes the head only.
local function take_slot(h, o, kind, n, limit, now)
  if limit == 0 then
    h.dropped = now
    return nil, nil
  end
  local names, place = SLOTS[kind], n % limit
  local slot = names[place]
  if not slot then
    slot = '#' .. kind .. string.format('%.0f', place)
    names[place] = slot
  end
  if n < limit then return slot, nil end
  local old = redis.call('HGET', o, slot)
  if not old then return slot, nil end
  local since, at = struct.unpack('<I8', old)
  if since > h.dropped then h.dropped = since end
  return slot, string.sub(old, at)
end

-- The op was stored before (and is too old to count): its former slot must not drop the new outcome.
local function forget_former_slot(o, slot, op)
  local all = redis.call('HGETALL', o)
  for i = 1, #all, 2 do
    if string.byte(all[i]) == 35 and all[i] ~= slot and string.sub(all[i + 1], 9) == op then
      redis.call('HDEL', o, all[i])
    end
  end
end

local function store(h, o, slot, old, op, value, now, first)
  if first then redis.call('HSET', o, '#', '1') end
  if slot then
    if old then redis.call('HDEL', o, old) end
    local new = redis.call('HSET', o, op, value, slot, struct.pack('<I8', now) .. op)
    if new < (old and 1 or 2) then forget_former_slot(o, slot, op) end
  end
  if first and h.phys ~= 0 then redis.call('PEXPIREAT', o, h.phys) end
end

-- Updates that were resolved as rejected, by when. They lie beside the sessions: the delayed commit may meet none, or
-- the next life. A session with such marks says so in its flags, so that others pay nothing.

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

local function marked(base, rest)
  return redis.call('EXISTS', base .. 'n' .. rest) > 0
end
