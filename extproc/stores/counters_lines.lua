-- Lines before limits: the twin of limits/queue.py and stores/lines_memory.py.
--   q:NAME:SCOPE         how far the line is (v), and of each class what it had (c and its name)
--   z:CLASS:NAME:SCOPE   who waits, by turn
--   t:CLASS:NAME:SCOPE   tenants, by the turn of their last
--   p:NAME:SCOPE         who has stepped aside, and the turn to come back to
--   a:WORKER             there as long as the worker gives signs of life
--   c:WORKER             calls that it has yet to hear
local QUEUED = 4

-- Whether anybody waits for room in the limit with that state, or has stepped aside.
local function is_crowded(key)
  local head, rest = key:sub(1, PREFIX), key:sub(PREFIX + 2)
  return redis.call("EXISTS", head .. "q" .. rest, head .. "p" .. rest) > 0
end

-- The last four are of a ticket.
local function make_lines(WORKER, PRIORITY, TENANT, packed)
  local CLASS = "<ddddddd"
  local LEARNING, KNOWN = 8, 4
  local LINE_MS, ALIVE_MS, CALL_MS, CALLS = 60000, 1000, 5000, 1000
  local HEAD = KEYS[1]:sub(1, PREFIX)
  local WEIGHT, JOINS
  if packed then
    WEIGHT, JOINS = struct.unpack("<dB", packed)
    if JOINS == 1 then
      redis.call("SET", HEAD .. "a:" .. WORKER, "", "PX", ALIVE_MS)
    end
  end

  -- A double as text, exactly.
  local function write(number)
    return string.format("%.17g", number)
  end

  local function read_name(name)
    local settle_key, worker, cost, tenant = name:match("^(%S+) (%S+) (%S+) (.*)$")
    return tonumber(cost), worker, tenant
  end

  -- `rest` is what follows the letter in the key of the limit's state: ":NAME:SCOPE".
  local function open(rest)
    local line = { rest = rest, key = HEAD .. "q" .. rest, aside = HEAD .. "p" .. rest, scale = 0, classes = {} }
    local fields = redis.call("HGETALL", line.key)
    line.is_known = #fields > 0
    for index = 1, #fields, 2 do
      local field, packed = fields[index], fields[index + 1]
      if field == "v" then
        line.scale = struct.unpack("<d", packed)
      else
        local name = field:sub(2)
        local class = { name = name, waiting = HEAD .. "z:" .. name .. rest, tenants = HEAD .. "t:" .. name .. rest }
        class.weight, class.had, class.turn, class.cost, class.turns, class.pause, class.served =
          struct.unpack(CLASS, packed)
        line.classes[name] = class
      end
    end
    return line
  end

  local function save(line)
    local fields = { "v", struct.pack("<d", line.scale) }
    for name, class in pairs(line.classes) do
      fields[#fields + 1] = "c" .. name
      fields[#fields + 1] = struct.pack(
        CLASS, class.weight, class.had, class.turn, class.cost, class.turns, class.pause, class.served
      )
      redis.call("PEXPIRE", class.waiting, LINE_MS)
      redis.call("PEXPIRE", class.tenants, LINE_MS)
    end
    redis.call("DEL", line.key)
    if #fields > 2 then
      redis.call("HSET", line.key, unpack(fields))
      redis.call("PEXPIRE", line.key, LINE_MS)
    end
  end

  local function turn_of(class, name)
    return class and tonumber(redis.call("ZSCORE", class.waiting, name))
  end

  local function take_out(line, class, name, cost)
    redis.call("ZREM", class.waiting, name)
    class.cost = class.cost - cost
    if redis.call("EXISTS", class.waiting) == 0 then
      redis.call("DEL", class.tenants)
      line.classes[class.name] = nil
      if not next(line.classes) then
        line.scale = 0
      end
    end
  end

  local function leave(line, class, name)
    redis.call("HDEL", line.aside, name)
    local turn = turn_of(class, name)
    if not turn then
      return
    end
    local cost, _, tenant = read_name(name)
    if tonumber(redis.call("ZSCORE", class.tenants, tenant)) == turn then
      if turn - cost <= class.turn then
        redis.call("ZREM", class.tenants, tenant)
      else
        redis.call("ZADD", class.tenants, write(turn - cost), tenant)
      end
    end
    take_out(line, class, name, cost)
  end

  -- Whose turn it is. Those whose worker has died are taken out.
  local function first(line)
    while true do
      local best, due, found, worker
      for priority, class in pairs(line.classes) do
        local name = redis.call("ZRANGE", class.waiting, 0, 0)[1]
        if name then
          local cost, of = read_name(name)
          local at = class.had + cost / class.weight
          if not best or at < due or (at == due and priority < best.name) then
            best, due, found, worker = class, at, name, of
          end
        else
          line.classes[priority] = nil
        end
      end
      if not best or worker == WORKER or redis.call("EXISTS", HEAD .. "a:" .. worker) == 1 then
        return found, best, worker
      end
      leave(line, best, found)
    end
  end

  local function call(line)
    local name, class, worker = first(line)
    if name then
      local key = HEAD .. "c:" .. worker
      local calls = redis.call("RPUSH", key, line.rest:sub(2) .. "\0" .. class.name .. "\0" .. name)
      redis.call("PEXPIRE", key, CALL_MS)
      if calls > CALLS then -- nobody listens
        redis.call("LTRIM", key, -CALLS, -1)
      end
    end
  end

  local function wake(key)
    local line = open(key:sub(PREFIX + 2))
    call(line)
    save(line)
  end

  local function next_turn(class, cost)
    local last = tonumber(redis.call("ZSCORE", class.tenants, TENANT)) or 0
    return max(class.turn, last) + cost
  end

  -- Guess how long it takes behind those who are before.
  local function expect(s, line)
    local own, rank, amount, learned = line.classes[PRIORITY], 0, 0, 0
    local function share(class, count)
      local product, size = count * class.cost, redis.call("ZCARD", class.waiting)
      return (product - product % size) / size
    end
    if own then
      if s.turn then
        rank = redis.call("ZRANK", own.waiting, s.name)
      else
        rank = redis.call("ZCOUNT", own.waiting, "-inf", write(next_turn(own, s.cost)))
      end
      amount = share(own, rank)
      learned = own.turns >= KNOWN and floor(own.pause * (rank + 1)) or 0
    end
    local count = rank
    for priority, class in pairs(line.classes) do
      if priority ~= PRIORITY then
        local some = min(redis.call("ZCARD", class.waiting), floor((rank + 1) * class.weight / WEIGHT))
        count, amount = count + some, amount + share(class, some)
      end
    end
    local expected = s.kind.expect(s, s.amount, count, amount)
    if expected == NEVER then
      return NEVER
    end
    return max(1, expected, count > 0 and learned or 0)
  end

  -- No room where others are before.
  local function judge(s, key)
    local line = open(key:sub(PREFIX + 2))
    s.line, s.cost = line, max(1, s.amount)
    s.name = table.concat({ SETTLE_KEY, WORKER, string.format("%.0f", s.cost), TENANT }, " ")
    s.turn = turn_of(line.classes[PRIORITY], s.name)
    local front = first(line)
    s.leads = not front or front == s.name
    if s.wait ~= NEVER and (s.wait ~= 0 or not s.leads) then
      s.wait = expect(s, line)
    end
  end

  local function join(s)
    local line = s.line
    local class = line.classes[PRIORITY]
    if not class then
      class = {
        name = PRIORITY, waiting = HEAD .. "z:" .. PRIORITY .. line.rest,
        tenants = HEAD .. "t:" .. PRIORITY .. line.rest,
        had = line.scale, turn = 0, cost = 0, turns = 0, pause = 0, served = 0,
      }
      redis.call("DEL", class.waiting, class.tenants)
      line.classes[PRIORITY] = class
    end
    class.weight = WEIGHT
    if s.turn then
      return
    end
    local turn = next_turn(class, s.cost)
    local aside = tonumber(redis.call("HGET", line.aside, s.name))
    if aside then
      turn = min(turn, aside)
      redis.call("HDEL", line.aside, s.name)
    else
      redis.call("ZADD", class.tenants, write(turn), TENANT)
    end
    redis.call("ZADD", class.waiting, write(turn), s.name)
    class.cost = class.cost + s.cost
  end

  local function serve(s)
    local line = s.line
    redis.call("HDEL", line.aside, s.name)
    local class = line.classes[PRIORITY]
    if not s.turn then
      return
    end
    class.had = class.had + s.cost / class.weight
    line.scale = max(line.scale, class.had)
    class.turn = max(class.turn, s.turn)
    redis.call("ZREMRANGEBYSCORE", class.tenants, "-inf", write(class.turn))
    if class.served > 0 then
      class.turns = class.turns + 1
      class.pause = class.pause + (NOW - class.served - class.pause) / min(class.turns, LEARNING)
    end
    class.served = NOW
    take_out(line, class, s.name, s.cost)
  end

  -- It has what it waited for. Only semaphores can tell whether there is more without knowing what
  -- the next one wants.
  local function admit(states)
    for index = 1, #states do
      local s = states[index]
      if s.line then
        serve(s)
      end
      if s.line and s.line.is_known then
        if s.leases == nil or s.kind.remaining(s) > 0 then
          call(s.line)
        end
        save(s.line)
      end
    end
  end

  -- Stand in the lines of all limits that refuse, or in none if one of them has no line.
  local function refuse(states)
    if JOINS == 0 then
      return false
    end
    local waits = true
    for index = 1, #states do
      local s = states[index]
      waits = waits and (s.wait == 0 or s.shadow or (s.line ~= nil and s.wait ~= NEVER))
    end
    for index = 1, #states do
      local s = states[index]
      if s.line then
        if not waits then
          leave(s.line, s.line.classes[PRIORITY], s.name)
          if s.leads then
            call(s.line)
          end
        elseif s.wait ~= 0 then
          join(s)
          if s.turn and not s.leads then
            call(s.line)
          end
        elseif s.turn then
          redis.call("HSET", s.line.aside, s.name, write(s.turn))
          redis.call("PEXPIRE", s.line.aside, LINE_MS) -- by nothing else: the dead never come back for it
          take_out(s.line, s.line.classes[PRIORITY], s.name, s.cost)
          call(s.line)
        end
        save(s.line)
      end
    end
    return waits
  end

  -- Give up a place: the rest of the line's key, the class, the name.
  local function give_up(rest, priority, name)
    local line = open(rest)
    local front = first(line)
    leave(line, line.classes[priority], name)
    if front == name then
      call(line)
    end
    save(line)
  end

  return { judge = judge, admit = admit, refuse = refuse, wake = wake, give_up = give_up }
end
