-- Keeps an answer, and makes room for it: what ends soonest goes first.
--   KEYS   the answer, the ends of all answers (sorted set), their sizes (hash), the sum of sizes
--   ARGV   name, packed entry, how long to keep it (ms), most bytes, prefix of answers, the time (ms) or 0
local time = redis.call("TIME")
local now_ms = tonumber(ARGV[6])
if now_ms == 0 then now_ms = time[1] * 1000 + math.floor(time[2] / 1000) end
local name, size, most = ARGV[1], #ARGV[2] + 400, tonumber(ARGV[4])

local function drop(gone)
  local freed = tonumber(redis.call("HGET", KEYS[3], gone) or "0")
  redis.call("ZREM", KEYS[2], gone)
  redis.call("HDEL", KEYS[3], gone)
  redis.call("UNLINK", ARGV[5] .. gone)
  redis.call("DECRBY", KEYS[4], freed)
end

if redis.call("ZSCORE", KEYS[2], name) then drop(name) end
-- A bounded number each time: the server does one thing at a time.
for _, gone in ipairs(redis.call("ZRANGEBYSCORE", KEYS[2], "-inf", now_ms, "LIMIT", 0, 100)) do drop(gone) end
if size > most then return 0 end
local evicted = 0
while tonumber(redis.call("GET", KEYS[4]) or "0") + size > most do
  local first = redis.call("ZRANGE", KEYS[2], 0, 0)[1]
  if not first then
    redis.call("SET", KEYS[4], 0)
    break
  end
  drop(first)
  evicted = evicted + 1
end
local ends_ms = now_ms + tonumber(ARGV[3])
redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3])
redis.call("ZADD", KEYS[2], ends_ms, name)
redis.call("HSET", KEYS[3], name, size)
redis.call("INCRBY", KEYS[4], size)
return evicted
