-- Counters in Redis, the part that every script begins with. Python sends numbers packed as
-- little-endian doubles, exact up to 2^53, and gets them back so; times are microseconds since 1970.
-- One call is one step: Redis runs scripts one at a time. The clock is the server's, except in tests.
local floor, ceil, max, min = math.floor, math.ceil, math.max, math.min
local LARGEST = 2 ^ 53
local NEVER = -1

local NOW, LEASE_US, SLACK_MS, OPEN_US, SETTLED_US, EARLY_US, LEASES_MS, FLAG, PREFIX =
  struct.unpack("<dddddddBB", ARGV[1])
if NOW == 0 then
  local time = redis.call("TIME")
  NOW = time[1] * 1000000 + time[2]
end
-- Behind the prefix and "r:" of a record's key.
local SETTLE_KEY = KEYS[1]:sub(PREFIX + 3)

-- Keep it for so long, then it vanishes; what is over already goes at once.
local function keep(key, value, life_us)
  if life_us > 0 then
    redis.call("SET", key, value, "PX", (life_us + -life_us % 1000) / 1000 + SLACK_MS)
  else
    redis.call("DEL", key)
  end
end
