-- Token bucket and leaky bucket: the twin of limits/bucket.py and limits/rate.py.
-- `a - a % b` is a rounded down to a multiple of b, and `a + -a % b` rounded up: as operators they
-- cost a tenth of math.floor and math.ceil.
local function make_bucket()
  local function empty(s)
    s.level, s.drained, s.at, s.since, s.poured = 0, 0, NOW, NOW, 0
  end

  -- Move the anchor as near to now as it goes, and count what has drained since.
  local function drain(s)
    local elapsed = NOW - s.at
    if elapsed < 0 then
      s.at, s.drained = NOW, 0
      return
    end
    local rate, ticks, tick = s.rate, s.ticks, s.tick
    local passed = (elapsed - elapsed % tick) / tick
    if passed >= ticks then
      local rest = passed % ticks
      s.level, s.at = s.level - (passed - rest) / ticks * rate, s.at + (passed - rest) * tick
      passed = rest
    end
    local part = passed * rate
    s.drained = (part - part % ticks) / ticks
    if s.level <= s.drained then
      empty(s)
    end
  end

  local function drained_up(s, elapsed)
    local rate, ticks, tick = s.rate, s.ticks, s.tick
    local passed = (elapsed + -elapsed % tick) / tick
    local rest = passed % ticks
    local part = rest * rate
    return (passed - rest) / ticks * rate + (part + -part % ticks) / ticks
  end

  local function draining_us(s, level)
    local rate, ticks = s.rate, s.ticks
    local rest = level % rate
    local part = rest * ticks
    local passed = (level - rest) / rate * ticks + (part + -part % rate) / rate
    return min(passed * s.tick, LARGEST)
  end

  local function anew(capacity, rate, ticks, tick)
    return {
      capacity = capacity, rate = rate, ticks = ticks, tick = tick,
      level = 0, drained = 0, at = NOW, since = NOW, poured = 0,
      kind = false, amount = 0, shadow = false, wait = 0,
    }
  end

  local function load(packed)
    local level, at, since, poured, rate, ticks, tick = struct.unpack("<ddddddd", packed)
    local s = {
      capacity = 0, rate = rate, ticks = ticks, tick = tick,
      level = level, drained = 0, at = at, since = since, poured = poured,
      kind = false, amount = 0, shadow = false, wait = 0,
    }
    drain(s)
    return s
  end

  local function state(packed, key, capacity, rate, ticks, tick)
    if not packed then
      return anew(capacity, rate, ticks, tick)
    end
    local s = load(packed)
    s.capacity = capacity
    if s.rate ~= rate or s.ticks ~= ticks or s.tick ~= tick then
      s.level, s.drained, s.at = s.level - s.drained, 0, NOW
      s.rate, s.ticks, s.tick = rate, ticks, tick
    end
    return s
  end

  local function wait(s, amount)
    local room = s.capacity - amount
    if room < 0 then
      return NEVER
    end
    if s.level - s.drained <= room then
      return 0
    end
    return s.at + draining_us(s, s.level - room) - NOW
  end

  local function expect(s, amount, count, before)
    local first = wait(s, amount)
    return first == NEVER and NEVER or first + draining_us(s, before)
  end

  local function take(s, amount)
    s.level, s.poured = s.level + amount, s.poured + amount
    return s.poured
  end

  local function reset(s)
    return s.level == 0 and 0 or s.at + draining_us(s, s.level) - NOW
  end

  local function remaining(s)
    return s.capacity - s.level + s.drained
  end

  local function surplus(s, unused, strict, at, mark)
    if not strict then
      return unused
    end
    if at < s.since then
      return 0
    end
    local gone = drained_up(s, max(0, NOW - at))
    local alone = s.level - s.drained - (s.poured - mark)
    return max(0, unused - gone, min(unused, alone))
  end

  local function settle(s, amount, used, strict, at, mark)
    if used >= amount then
      s.level, s.poured = s.level + used - amount, s.poured + used - amount
      return
    end
    local back = surplus(s, amount - used, strict, at, mark)
    s.level = s.level - min(back, s.level - s.drained)
    if s.level <= s.drained then
      empty(s)
    end
  end

  local function pack(s)
    return struct.pack("<ddddddd", s.level, s.at, s.since, s.poured, s.rate, s.ticks, s.tick)
  end

  return {
    anew = anew, load = load, state = state, wait = wait, expect = expect, take = take,
    reset = reset, life = reset, remaining = remaining, settle = settle, pack = pack,
  }
end
