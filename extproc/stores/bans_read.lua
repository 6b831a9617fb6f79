-- What has changed. KEYS: bans (a hash), changes (a sorted set). ARGV: the change that was seen last, how
-- many to answer at most, and the time in tests. Answers the time, the last change of those that are
-- answered, and then name and document of each ban.
local now_us = tonumber(ARGV[3])
if now_us == 0 then
  local time = redis.call("TIME")
  now_us = time[1] * 1000000 + time[2]
end
local found =
  redis.call("ZRANGEBYSCORE", KEYS[2], "(" .. ARGV[1], "+inf", "WITHSCORES", "LIMIT", 0, ARGV[2])
local answer = { math.floor(now_us / 1000), found[#found] or ARGV[1] }
for index = 1, #found, 2 do
  answer[#answer + 1] = found[index]
  -- Nothing, where a server that may evict keys has evicted that one.
  answer[#answer + 1] = redis.call("HGET", KEYS[1], found[index]) or ""
end
return answer
