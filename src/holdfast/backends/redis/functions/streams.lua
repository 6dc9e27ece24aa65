-- --- events -------------------------------------------------------------------------------------------------------
-- One list a session: whose events they are (MARK, then the turn), and the chunks. It has an expiry of its own and may outlast
-- the session; the mark names the life, too.

local MARK = '<I8I4c12'            -- fence, incarnation

local function append_events(keys, args)
  local key, now = keys[1], clock()
  local base, rest = siblings(key)
  local fence, keep_ms, turn = struct.unpack('<I8I8I2c0', args[1])
  local h = head_of(key, base, rest, now)
  if not h or h.running ~= turn or h.fence ~= fence then return 'F' end
  local events, mark = base .. 'e' .. rest, struct.pack(MARK, fence, h.inc1, h.inc2) .. turn
  if redis.call('LRANGE', events, 0, 0)[1] == mark then
    redis.call('RPUSH', events, args[2])
  elseif redis.call('RPUSH', events, mark, args[2]) > 2 then
    redis.call('LTRIM', events, -2, -1)
  end
  redis.call('PEXPIRE', events, keep_ms)
  if has(h.flags, JOINED) then tell(base, rest, 'events') end
  return 'K'
end

local function read_events(keys, args)
  local key = keys[1]
  local base, rest = siblings(key)
  local fence, start, turn = struct.unpack('<I8I8I2c0', args[1])
  local h = head_of(key, base, rest, clock())
  if not h then return false end
  local events = base .. 'e' .. rest
  local mark = redis.call('LRANGE', events, 0, 0)[1]
  if not mark then return false end
  local found, inc1, inc2, at = struct.unpack(MARK, mark)
  if inc1 ~= h.inc1 or inc2 ~= h.inc2 or string.sub(mark, at) ~= turn then return false end
  if found ~= fence then start = 0 end
  return {found, start, redis.call('LRANGE', events, 1 + start, -1)}
end
