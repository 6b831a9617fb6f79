-- reserve, by force when the flag is set: KEYS are the record and then one state for each charge.
-- ARGV[2] has the charges, ARGV[3] the keys of the states once more, for the record; a ticket follows if
-- lines matter: worker, class, tenant, weight and whether it joins. Answers a string: 1 for admitted, 2 for standing in line, whether it had
-- been admitted before, and (remaining, reset, wait) for each charge; when the settlement was here first,
-- a list of that string and what `settle` answers.
local values = redis.call("MGET", unpack(KEYS))
local size = #KEYS - 1
local status, spent = find(values[1])
local states, refused = {}, false
local minds_lines, lines = ARGV[4] and not status and FLAG == 0, nil

local position = 1
for index = 1, size do
  local kind, unit, flags, discount, capacity, a, b, c, d, amount, alerts, finish =
    struct.unpack(CHARGE, ARGV[2], position)
  local algorithm, key = find_algorithm(kind), KEYS[index + 1]
  local s = algorithm.state(values[index + 1], key, capacity, a, b, c, d, alerts)
  s.kind, s.amount, s.shadow = algorithm, amount, flags % QUEUED >= SHADOW
  if not status or status == "E" then
    s.wait = algorithm.wait(s, amount)
    if minds_lines and flags >= QUEUED and (s.wait ~= 0 or is_crowded(key)) then
      lines = lines or make_lines(ARGV[4], ARGV[5], ARGV[6], ARGV[7])
      lines.judge(s, key)
    end
    refused = refused or (s.wait ~= 0 and not s.shadow)
  end
  states[index], position = s, finish
end

-- Takes all but what limits in shadow would refuse.
local function take_all()
  local marks, life_us = {}, OPEN_US
  for index = 1, size do
    local s = states[index]
    local algorithm = s.kind
    if s.wait == 0 or not s.shadow then
      marks[index], s.wait = algorithm.take(s, s.amount), 0
      local packed = algorithm.pack(s)
      if packed then
        s.life = algorithm.life(s)
        keep(KEYS[index + 1], packed, s.life)
        life_us = max(life_us, s.life)
      end
    else
      marks[index] = UNTAKEN
    end
  end
  local packed_marks = struct.pack("<" .. ("d"):rep(size), unpack(marks))
  remember("R", struct.pack("<dB", NOW, size) .. ARGV[2] .. packed_marks .. ARGV[3], life_us)
end

-- The settlement was here first: take what was used, from all that still count it.
local function make_up()
  local answer, from = { "" }, 1
  for index = 1, size do
    local _, unit, flags, discount, _, _, _, _, _, _, _, finish =
      struct.unpack(CHARGE, ARGV[2], from)
    local s, key = states[index], KEYS[index + 1]
    local algorithm = s.kind
    if unit ~= CONCURRENT and (s.wait == 0 or not s.shadow) then
      local used, strict = count(unit, discount, spent), flags % SHADOW == STRICT
      local crossed = algorithm.settle(s, 0, used, strict, NOW, algorithm.take(s, 0))
      keep(key, algorithm.pack(s), algorithm.life(s))
      report(answer, key, unit, 0, used, crossed)
    end
    s.wait, from = 0, finish
  end
  remember("S", "", SETTLED_US)
  return answer
end

local admitted = status or FLAG == 1 or not refused
local answer
if status == "E" then
  answer = make_up()
elseif not status and admitted then
  take_all()
  if lines then
    lines.admit(states)
  end
end
local waits = not admitted and lines and lines.refuse(states)

local rows = {}
for index = 1, size do
  local s = states[index]
  local base = 3 * index
  rows[base - 2], rows[base - 1], rows[base] = s.kind.remaining(s), s.life or s.kind.reset(s), s.wait
end
local format = "<BB" .. ("d"):rep(3 * size)
local packed = struct.pack(format, admitted and 1 or (waits and 2 or 0), status and 1 or 0, unpack(rows))
if answer then
  answer[1] = packed
  return answer
end
return packed
