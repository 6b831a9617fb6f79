-- leave: KEYS are any key of ours, and the keys of lines; ARGV class and name for each of them.
local lines = make_lines()
for index = 2, #KEYS do
  lines.give_up(KEYS[index]:sub(PREFIX + 2), ARGV[2 * index - 2], ARGV[2 * index - 1])
end
return 0
