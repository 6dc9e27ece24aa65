-- --- as a script --------------------------------------------------------------------------------------------------
-- For servers without functions: runs the one that was asked for (sessions.lua). Errors are returned, not raised, because
-- Redis 6.2 passes on no table that `error` is given.

-- What functions say with allow-oom: memory is looked at before a script's first write only, and this one needs none.
if may_grow then redis.call('UNLINK', KEYS[1] .. ':') end
local good, reply = pcall(wanted, KEYS, ARGV)
if good or type(reply) == 'table' then return reply end
-- Redis 6.2 raises text: '@user_script: <line>: -<CODE> ...' for what it refused before running it.
local refused, of = string.gsub(reply, '^@user_script: %d+: %-?', '')
if of == 1 then return {err = (string.find(refused, '^%u%u') and '' or 'ERR ') .. refused} end
if string.find(reply, '^%u%u+ ') then return {err = reply} end
return {err = 'ERR ' .. reply .. ' script: @user_script'}
