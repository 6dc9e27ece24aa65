-- --- pages --------------------------------------------------------------------------------------------------------
-- Log entries before position `paged` lie in a hash of their own, compressed by the clients (pages.py): "<position of its
-- first entry>" -> a page, of which the last bytes may lie in "<position>+"; "d" -> the directory, DIR for each page. The
-- list holds what comes after them, one at least.

local DIR, DIR_SIZE = '<I4I4c8', 16   -- first position, bytes uncompressed, mark (of the page's bytes)

local function page_name(position)
  return string.format('%.0f', position)
end

local function directory(name)
  local d = redis.call('HGET', name, 'd')
  if not d or #d == 0 or #d % DIR_SIZE ~= 0 then corrupt('pages') end
  return d
end

-- The pages that hold the entries from `first` to before `last`: position, page, its last bytes or false, position...
local function pages_of(h, base, rest, first, last)
  local name = base .. 'z' .. rest
  local d = directory(name)
  local function start_of(n) return (struct.unpack('<I4', d, n * DIR_SIZE + 1)) end
  local end_ = #d / DIR_SIZE - 1
  local low, high = 0, end_
  while low < high do
    local middle = math.ceil((low + high) / 2)
    if start_of(middle) <= first then low = middle else high = middle - 1 end
  end
  local starts, names, found = {}, {}, {}
  for n = low, end_ do
    local start = start_of(n)
    if start >= last then break end
    starts[#starts + 1] = start
    names[#names + 1] = page_name(start)
    names[#names + 1] = names[#names] .. '+'
  end
  for i = 1, #names, CHUNK do
    local values = redis.call('HMGET', name, unpack(names, i, math.min(i + CHUNK - 1, #names)))
    for k = 1, #values, 2 do
      if not values[k] then corrupt('a page is missing') end
      local at = #found
      found[at + 1], found[at + 2], found[at + 3] = starts[(i + k) / 2], values[k], values[k + 1]
    end
  end
  return found
end

-- What a client packs next: the last page if it is not full (else none), and the entries that come after it. False where
-- fewer than `least` entries lie there beside the `keep` newest. Entries are read in growing steps: one may be huge.
local function unpacked(keys, args)
  local key = keys[1]
  local base, rest = siblings(key)
  local keep, least, full, full_bytes = struct.unpack('<I4I4I4I4', args[1])
  local h = head_of(key, base, rest, clock())
  if not h then return false end
  local log, name, held = base .. 'l' .. rest, base .. 'z' .. rest, h.total - h.paged
  if redis.call('LLEN', log) ~= held then corrupt('log') end
  local spare = held - math.max(keep, 1)
  if spare < math.max(least, 1) then return false end
  local first, mark, page, size, room = h.paged, '\0\0\0\0\0\0\0\0', {}, 0, full
  if h.paged > 0 then
    local d = directory(name)
    local start, bytes, last_mark = struct.unpack(DIR, d, #d - DIR_SIZE + 1)
    if h.paged - start < full and bytes + #redis.call('LRANGE', log, 0, 0)[1] <= full_bytes then
      page = pages_of(h, base, rest, start, h.paged)
      first, mark, size, room = start, last_mark, bytes, full - (h.paged - start)
    end
  end
  local entries, n, before, step = {}, 0, size, 8
  room = math.min(room, spare)
  while n < room and step > 0 do
    for _, entry in ipairs(redis.call('LRANGE', log, n, n + math.min(step, room - n) - 1)) do
      if n > 0 and size + #entry > full_bytes then
        room = n
        break
      end
      n, size = n + 1, size + #entry
      entries[n] = entry
    end
    step = math.min(256, math.ceil((full_bytes - size) * n / math.max(1, size - before)))
  end
  return {struct.pack('<I4c12I8I8c8', h.inc1, h.inc2, h.paged, first, mark), page, entries}
end

-- Puts the oldest entries of the list into a page, a new one or in the place of the last. Not a commit: version and expiry
-- stay. The digest is of the entries that lie here: a page made on the other side of a fork does not fit ("S", as for one
-- that came too late; nothing is changed).
local function pack(keys, args)
  local key = keys[1]
  local base, rest = siblings(key)
  local inc1, inc2, paged, first, mark, count, bytes, new_mark, digest
    = struct.unpack('<I4c12I8I8c8I4I4c8c40', args[1])
  local h = head_of(key, base, rest, clock())
  if not h or h.inc1 ~= inc1 or h.inc2 ~= inc2 or h.paged ~= paged then return 'S' end
  local log, name, d = base .. 'l' .. rest, base .. 'z' .. rest, ''
  local held = h.total - paged
  if redis.call('LLEN', log) ~= held then corrupt('log') end
  if count < 1 or count >= held or first > paged or first > 4294967295 then return 'S' end
  if paged > 0 then
    d = directory(name)
    if first < paged then
      local start, _, last_mark = struct.unpack(DIR, d, #d - DIR_SIZE + 1)
      if start ~= first or last_mark ~= mark then return 'S' end
      d = string.sub(d, 1, -DIR_SIZE - 1)
    end
  end
  local parts = {}
  for i, entry in ipairs(redis.call('LRANGE', log, 0, count - 1)) do
    parts[2 * i - 1], parts[2 * i] = struct.pack('<I4', #entry), entry
  end
  if redis.sha1hex(table.concat(parts)) ~= digest then return 'S' end

  -- It fits: from here on it writes. What an evicted session left behind goes first.
  if paged == 0 then redis.call('UNLINK', name) end
  local field, entry = page_name(first), struct.pack(DIR, first, bytes, new_mark)
  if args[3] then
    redis.call('HSET', name, field, args[2], field .. '+', args[3], 'd', d .. entry)
  else
    redis.call('HSET', name, field, args[2], 'd', d .. entry)
    if first < paged then redis.call('HDEL', name, field .. '+') end
  end
  if paged == 0 and h.phys ~= 0 then redis.call('PEXPIREAT', name, h.phys) end
  redis.call('LTRIM', log, count, -1)
  h.paged = paged + count
  redis.call('HSET', key, 'm', packed(h))
  return 'K'
end
