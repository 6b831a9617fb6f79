-- settle, and forget when the flag is set: KEYS[1] is the record, ARGV[2] what was spent. The other
-- keys are in the record, under the same hash tag. Answers a list: S settled now, R settled before, U unknown; then two strings for each
-- limit.
local status, rest = find(redis.call("GET", KEYS[1]))
if not status then
  if FLAG == 0 then
    remember("E", ARGV[2], EARLY_US)
  end
  return { "U" }
elseif status ~= "R" then
  return { "R" }
end

local at, keys, places, marks = read_record(rest)
local values = #keys > 0 and redis.call("MGET", unpack(keys))
local answer, lines = { "S" }, nil
for index = 1, #keys do
  local kind, unit, flags, discount, capacity, a, b, c, d, amount =
    struct.unpack(CHARGE, rest, places[index])
  local algorithm, packed, key, s = find_algorithm(kind), values[index], keys[index], nil
  if packed or unit == CONCURRENT then
    s = algorithm.load(packed, key)
  end
  if not s or algorithm.life(s) <= 0 then
    s = algorithm.anew(capacity, a, b, c)
  end
  local used, crossed = count(unit, discount, ARGV[2]), nil
  if s then
    crossed = algorithm.settle(s, amount, used, flags % SHADOW == STRICT, at, marks[index])
    local after = algorithm.pack(s)
    if after then
      keep(key, after, algorithm.life(s))
    end
  end
  report(answer, key, unit, amount, used, crossed)
  if flags >= QUEUED and is_crowded(key) then
    lines = lines or make_lines()
    lines.wake(key)
  end
end
remember("S", "", FLAG == 0 and SETTLED_US or 0)
return answer
