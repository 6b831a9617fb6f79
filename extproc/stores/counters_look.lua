-- look: KEYS are states, ARGV[2] charges as in `reserve`. Answers (remaining, reset, wait) for each.
local values = redis.call("MGET", unpack(KEYS))
local rows, position = {}, 1
for index = 1, #KEYS do
  local kind, _, _, _, capacity, a, b, c, d, amount, alerts, finish =
    struct.unpack(CHARGE, ARGV[2], position)
  local algorithm = find_algorithm(kind)
  local s = algorithm.state(values[index], KEYS[index], capacity, a, b, c, d, alerts)
  local wait = algorithm.wait(s, amount)
  rows[index] = struct.pack("<ddd", algorithm.remaining(s), algorithm.reset(s), wait)
  position = finish
end
return table.concat(rows)
