-- Budget: the twin of limits/budget.py. The calendar is the caller's: it names the edges of three
-- periods around its own clock, and the clock in here picks one.
local function make_budget()
  local function period(a, b, c, d)
    if b <= NOW and NOW < c then
      return b, c
    elseif a <= NOW and NOW < b then
      return a, b
    elseif c <= NOW and NOW < d then
      return c, d
    end
    error("the clocks of caller and counters are a whole budget period apart")
  end

  local function make(start, finish, charged, spent, capacity, alerts)
    return {
      start = start, finish = finish, charged = charged, spent = spent,
      capacity = capacity, alerts = alerts,
      kind = false, amount = 0, shadow = false, wait = 0,
    }
  end

  local function anew()
    return nil
  end

  local function load(packed)
    local start, finish, charged, spent, capacity, tail = struct.unpack("<ddddd", packed)
    return make(start, finish, charged, spent, capacity, packed:sub(tail))
  end

  local function state(packed, key, capacity, a, b, c, d, alerts)
    local start, finish = period(a, b, c, d)
    local s = packed and load(packed)
    if not s or s.start < start or s.finish <= NOW then
      return make(start, finish, 0, 0, capacity, alerts)
    end
    s.finish, s.capacity, s.alerts = max(s.finish, finish), capacity, alerts
    return s
  end

  local function wait(s, amount)
    if amount > s.capacity then
      return NEVER
    end
    return s.charged + amount <= s.capacity and 0 or s.finish - NOW
  end

  local function expect(s, amount)
    return wait(s, amount)
  end

  local function take(s, amount)
    s.charged = s.charged + amount
    return s.start
  end

  local function reset(s)
    return s.finish - NOW
  end

  local function remaining(s)
    return s.capacity - s.charged
  end

  local function threshold(capacity, percent)
    local rest = capacity % 100
    return (capacity - rest) / 100 * percent + ceil(rest * percent / 100)
  end

  local function settle(s, amount, used, strict, at, mark)
    if mark ~= s.start or NOW >= s.finish then
      return
    end
    local before, crossed = s.spent, ""
    s.charged, s.spent = max(0, s.charged + used - amount), s.spent + used
    for position = 1, #s.alerts, 2 do
      local least = threshold(s.capacity, (struct.unpack("<H", s.alerts, position)))
      if before < least and least <= s.spent then
        crossed = crossed .. s.alerts:sub(position, position + 1)
      end
    end
    return crossed
  end

  local function pack(s)
    return struct.pack("<ddddd", s.start, s.finish, s.charged, s.spent, s.capacity) .. s.alerts
  end

  return {
    anew = anew, load = load, state = state, wait = wait, expect = expect, take = take,
    reset = reset, life = reset, remaining = remaining, settle = settle, pack = pack,
  }
end
