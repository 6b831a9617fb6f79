-- Make, replace or end one ban. KEYS: bans (a hash of documents), ends and changes (sorted sets of their
-- names: by when they end, in ms, and by when they were changed, in us). Answers whether a ban had been
-- in force, the ban as it is now, and the time. The twin of `bans_memory.py`.
local how, name, why, shadow = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == "1"
local first_ms, factor, longest_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local DAY_MS, LONGEST_ROW, MOST = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local now_us = tonumber(ARGV[11])
if now_us == 0 then
  local time = redis.call("TIME")
  now_us = time[1] * 1000000 + time[2]
end
local now_ms = math.floor(now_us / 1000)

local packed = redis.call("HGET", KEYS[1], name)
local old = packed and cjson.decode(packed) or { until_ms = 0, times = 0 }
local in_force = old.until_ms > now_ms

local length_ms, times = first_ms, 0
if how == "add" then
  if in_force then
    return { 1, packed, now_ms }
  end
  local row = old.until_ms + DAY_MS > now_ms and old.times or 0
  times = math.min(row + 1, LONGEST_ROW)
  length_ms = math.floor(math.min(first_ms * factor ^ (times - 1), longest_ms))
end

local made = cjson.encode({
  since_ms = now_ms, until_ms = now_ms + length_ms, times = times, why = why, shadow = shadow,
})
-- Later than any change before, also when the clock was set back.
local last = redis.call("ZREVRANGE", KEYS[3], 0, 0, "WITHSCORES")[2]
local change = math.max(now_us, last and tonumber(last) + 1 or 0)
redis.call("HSET", KEYS[1], name, made)
redis.call("ZADD", KEYS[2], now_ms + length_ms, name)
redis.call("ZADD", KEYS[3], string.format("%.0f", change), name)

local surplus = redis.call("ZCARD", KEYS[2]) - MOST
if surplus > 0 then
  local gone = redis.call("ZRANGE", KEYS[2], 0, math.min(surplus, 1000) - 1)
  redis.call("HDEL", KEYS[1], unpack(gone))
  redis.call("ZREM", KEYS[2], unpack(gone))
  redis.call("ZREM", KEYS[3], unpack(gone))
end
local latest_ms = tonumber(redis.call("ZREVRANGE", KEYS[2], 0, 0, "WITHSCORES")[2])
for _, key in ipairs(KEYS) do
  redis.call("PEXPIRE", key, string.format("%.0f", latest_ms - now_ms + DAY_MS))
end
return { in_force and 1 or 0, made, now_ms }
