-- Sliding window: the twin of limits/window.py. Slots stay packed, sixteen bytes each: most calls
-- touch only the last one.
local function make_window()
  local SLOTS = 60
  local PAIR = 16

  local function slot_at(s, position)
    return struct.unpack("<dd", s.slots, position)
  end

  local function slide(s)
    s.current = (NOW - NOW % s.slot) / s.slot
    local length = #s.slots
    if length == 0 then
      return
    end
    s.current = max(s.current, (slot_at(s, length - PAIR + 1)))
    local position, oldest = 1, s.current - SLOTS
    while position < length do
      local slot, taken = slot_at(s, position)
      if slot >= oldest then
        break
      end
      s.total = s.total - taken
      position = position + PAIR
    end
    if position > 1 then
      s.slots = s.slots:sub(position)
    end
  end

  -- Where a slot is, or would be: the first that is not before it.
  local function find(s, slot)
    local low, high = 0, #s.slots / PAIR
    while low < high do
      local middle = floor((low + high) / 2)
      if slot_at(s, middle * PAIR + 1) < slot then
        low = middle + 1
      else
        high = middle
      end
    end
    return low * PAIR + 1
  end

  local function change(s, slot, by)
    if by == 0 then
      return
    end
    local position, taken = find(s, slot), 0
    local rest = position
    if position < #s.slots then
      local at, amount = slot_at(s, position)
      if at == slot then
        taken, rest = amount, position + PAIR
      end
    end
    by = max(by, -taken)
    s.total = s.total + by
    local pair = taken + by > 0 and struct.pack("<dd", slot, taken + by) or ""
    s.slots = s.slots:sub(1, position - 1) .. pair .. s.slots:sub(rest)
  end

  local function make(capacity, slot, total, slots)
    return {
      capacity = capacity, slot = slot, total = total, slots = slots, current = 0,
      kind = false, amount = 0, shadow = false, wait = 0,
    }
  end

  local function anew(capacity, slot)
    local s = make(capacity, slot, 0, "")
    slide(s)
    return s
  end

  local function load(packed)
    local slot, total = struct.unpack("<dd", packed)
    local s = make(0, slot, total, packed:sub(PAIR + 1))
    slide(s)
    return s
  end

  local function state(packed, key, capacity, slot)
    if not packed then
      return anew(capacity, slot)
    end
    local s = load(packed)
    s.capacity = capacity
    if s.slot ~= slot then
      local total = s.total
      s = anew(capacity, slot)
      change(s, s.current, total)
    end
    return s
  end

  local function end_us(s, slot)
    return (slot + SLOTS + 1) * s.slot
  end

  local function wait(s, amount)
    if amount > s.capacity then
      return NEVER
    end
    local over, position = s.total + amount - s.capacity, 1
    if over <= 0 then
      return 0
    end
    while position < #s.slots do
      local slot, taken = slot_at(s, position)
      over = over - taken
      if over <= 0 then
        return end_us(s, slot) - NOW
      end
      position = position + PAIR
    end
    return 0
  end

  local function expect(s, amount, count, before)
    local first = wait(s, amount)
    return first == NEVER and NEVER or first + floor(before / s.capacity * (SLOTS * s.slot))
  end

  local function take(s, amount)
    change(s, s.current, amount)
    return s.current * s.slot
  end

  local function reset(s)
    return s.slots == "" and 0 or end_us(s, (slot_at(s, #s.slots - PAIR + 1))) - NOW
  end

  local function remaining(s)
    return s.capacity - s.total
  end

  local function settle(s, amount, used, strict, at, mark)
    local slot = floor(mark / s.slot)
    if s.current - SLOTS <= slot and slot <= s.current then
      change(s, slot, used - amount)
    end
  end

  local function pack(s)
    return struct.pack("<dd", s.slot, s.total) .. s.slots
  end

  return {
    anew = anew, load = load, state = state, wait = wait, expect = expect, take = take,
    reset = reset, life = reset, remaining = remaining, settle = settle, pack = pack,
  }
end
