-- renew: KEYS[1] is the record. Answers 1 when every place in a semaphore is held on to.
local status, rest = find(redis.call("GET", KEYS[1]))
if status ~= "R" then
  return 0
end
local kept, semaphore = 1, make_semaphore()
local _, keys, places = read_record(rest)
for index = 1, #keys do
  local _, unit, _, _, capacity = struct.unpack(CHARGE, rest, places[index])
  if unit == CONCURRENT then
    local s = semaphore.load(nil, keys[index])
    if not semaphore.renew(s, capacity) then
      kept = 0
    end
  end
end
return kept
