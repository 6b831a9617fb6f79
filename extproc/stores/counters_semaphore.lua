-- Semaphore: the twin of limits/semaphore.py. The leases are a sorted set beside the state, scored by
-- when they end; the state itself is what was learned of how long they are held.
local function make_semaphore()
  local LEARNING = 8
  local FORGETTING_US = 3600 * 1000000

  local function anew()
    return nil
  end

  local function load(packed, key)
    local usual, learned = 0, 0
    if packed then
      usual, learned = struct.unpack("<dd", packed)
      if NOW >= learned + FORGETTING_US then
        usual = 0
      end
    end
    -- The same key under another letter; both lie in one slot of a cluster.
    local leases = key:sub(1, PREFIX) .. "l" .. key:sub(PREFIX + 2)
    redis.call("ZREMRANGEBYSCORE", leases, "-inf", NOW)
    return {
      leases = leases, usual = usual, learned = learned, taught = false, capacity = 0, live = 0,
      kind = false, amount = 0, shadow = false, wait = 0,
    }
  end

  local function state(packed, key, capacity)
    local s = load(packed, key)
    s.capacity, s.live = capacity, redis.call("ZCARD", s.leases)
    return s
  end

  local function wait(s, amount)
    local excess = s.live + amount - s.capacity
    if excess <= 0 then
      return 0
    end
    if s.usual > 0 then
      return max(1, floor(s.usual * excess / s.capacity))
    end
    return tonumber(redis.call("ZRANGE", s.leases, 0, 0, "WITHSCORES")[2]) - NOW
  end

  local function expect(s, amount, count)
    return s.usual > 0 and wait(s, amount + count) or 0
  end

  local function enter(s)
    redis.call("ZADD", s.leases, NOW + LEASE_US, SETTLE_KEY)
    redis.call("PEXPIRE", s.leases, LEASES_MS)
  end

  local function take(s)
    enter(s)
    s.live = s.live + 1
    return 0
  end

  local function reset(s)
    return s.live > 0 and s.usual or 0
  end

  local function life()
    return FORGETTING_US
  end

  local function remaining(s)
    return s.capacity - s.live
  end

  local function settle(s, amount, used, strict, at)
    if redis.call("ZREM", s.leases, SETTLE_KEY) == 0 then
      return
    end
    local held = max(1, NOW - at)
    s.usual = s.usual > 0 and s.usual + floor((held - s.usual) / LEARNING) or held
    s.learned, s.taught = NOW, true
  end

  local function renew(s, capacity)
    local lost = not redis.call("ZSCORE", s.leases, SETTLE_KEY)
    if lost and redis.call("ZCARD", s.leases) >= capacity then
      return false
    end
    enter(s)
    return true
  end

  local function pack(s)
    return s.taught and struct.pack("<dd", s.usual, s.learned)
  end

  return {
    anew = anew, load = load, state = state, wait = wait, expect = expect, take = take,
    reset = reset, life = life, remaining = remaining, settle = settle, pack = pack, renew = renew,
  }
end
