-- What is remembered of a request under its settle key, and what settling it does:
--   R  reserved: when, how many charges, the charges as they came, the mark of each, the key of each
--   S  settled
--   E  settled before it was reserved: by what
local BUCKET, WINDOW, SEMAPHORE, BUDGET = 1, 2, 3, 4
local STRICT, SHADOW = 1, 2
local CONCURRENT = 5
local UNTAKEN = -1

-- A charge as Python packs it (counters_packing.py): kind, unit, flags, discount, capacity, four
-- numbers of the kind's own, amount, alert levels.
local CHARGE = "<BBBHddddddBc0"
local CHARGE_BYTES = 54 -- before the alert levels, of which the last says how many bytes they are

-- The algorithms, each made when a call first needs it: making all takes as long as using one.
local made = {}

local function find_algorithm(kind)
  local algorithm = made[kind]
  if algorithm then
    return algorithm
  end
  if kind == BUCKET then
    algorithm = make_bucket()
  elseif kind == WINDOW then
    algorithm = make_window()
  elseif kind == SEMAPHORE then
    algorithm = make_semaphore()
  else
    algorithm = make_budget()
  end
  made[kind] = algorithm
  return algorithm
end

local function find(raw)
  if raw and struct.unpack("<d", raw, 2) > NOW then
    return raw:sub(1, 1), raw:sub(10)
  end
end

local function remember(status, rest, life_us)
  keep(KEYS[1], status .. struct.pack("<d", NOW + life_us) .. rest, life_us)
end

-- When it was made; then of each charge that was taken the key, where it lies, and the mark.
local function read_record(rest)
  local at, size, position = struct.unpack("<dB", rest)
  local all = {}
  for index = 1, size do
    all[index] = position
    position = position + CHARGE_BYTES + rest:byte(position + CHARGE_BYTES - 1)
  end
  local marks = { struct.unpack("<" .. ("d"):rep(size), rest, position) }
  local lengths = { struct.unpack("<" .. ("H"):rep(size), rest, position + 8 * size) }
  position = position + 10 * size
  local keys, places, kept = {}, {}, {}
  for index = 1, size do
    if marks[index] ~= UNTAKEN then
      local at_key = #keys + 1
      keys[at_key] = rest:sub(position, position + lengths[index] - 1)
      places[at_key], kept[at_key] = all[index], marks[index]
    end
    position = position + lengths[index]
  end
  return at, keys, places, kept
end

-- Tokens, prompt tokens, completion tokens, requests, concurrent, nano-dollars.
local function count(unit, discount, spent)
  local given, prompt, cached, completion, nano_usd = struct.unpack("<Bdddd", spent)
  if given == 0 then
    return 0
  end
  prompt = prompt - floor(min(cached, prompt) * discount / 1000)
  if unit == 1 then
    return prompt + completion
  elseif unit == 2 then
    return prompt
  elseif unit == 3 then
    return completion
  elseif unit == 6 then
    return nano_usd
  end
  return 1
end

-- One limit's line in the answer: its key, then numbers and the alert levels that were passed.
local function report(answer, key, unit, amount, used, crossed)
  local size = #answer
  answer[size + 1] = key
  answer[size + 2] = struct.pack("<Bdd", unit, amount, used) .. (crossed or "")
end
