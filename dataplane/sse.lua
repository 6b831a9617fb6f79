-- Server-sent events, cut into events as they arrive. Lines end with LF, CRLF or CR; an empty line ends an
-- event; its data lines are fed to a JSON scanner as they come, so that nothing is held here.

local LF, CR, SPACE = 10, 13, 32

-- The members that matter in an event: what to count, and whether the event is about anything else.
local EVENT_MEMBERS = { usage = true, choices = true }
-- The beginning and the end of a Responses or Messages stream carry the whole answer, and usage in it.
local USAGE_WITHIN = { response = { usage = true }, message = { usage = true } }

local function begin_event(events)
  events.scan = new_scan(EVENT_MEMBERS, count_usage, "usage", USAGE_WITHIN)
  events.scan.counts = events.counts
  events.bytes = 0 -- of this event, in the pieces before this one
  events.column = 0 -- content bytes of this line so far
  events.is_data = true -- as far as this line can tell
end

local function new_events(counts)
  local events = { counts = counts, after_cr = false }
  begin_event(events)
  return events
end

-- Content bytes [i, last] of a line, without its end. `base`: bytes of the event that lie before s[1].
local function read_content(events, s, i, last, base)
  local column = events.column
  events.column = column + last - i + 1
  if not events.is_data then return end
  local from = i
  if column < 5 then -- "data:" is not complete yet
    from = i + 5 - column
    local name = sub(s, i, last < from and last or from - 1)
    events.is_data = name == sub("data:", column + 1, column + #name)
  end
  if column <= 5 and byte(s, from) == SPACE then from = from + 1 end
  if events.is_data and from <= last then feed(events.scan, sub(s, from, last), base + from - 1) end
end

-- Reads `s` from `i` to the end of the event there and returns its last byte; nil when `s` ends first.
-- `events.lf` and `events.cr` remember the next line ends: set them to 0 for a new piece.
-- A CRLF may be torn between two pieces. When its CR has ended an event, the LF that comes late is
-- returned as a `tail`: the last byte of the event before.
local function event_end(events, s, i)
  local base, size, begin = events.bytes - i + 1, #s, i
  events.is_tail = false
  if events.after_cr then
    events.after_cr = false
    if byte(s, i) == LF then
      events.is_tail = events.bytes == 0
      if events.is_tail then return i end
      i = i + 1
    end
  end
  while i <= size do
    if events.lf < i then events.lf = find(s, "\n", i, true) or huge end
    if events.cr < i then events.cr = find(s, "\r", i, true) or huge end
    local at = events.lf < events.cr and events.lf or events.cr
    if at == huge then
      read_content(events, s, i, size, base)
      break
    end
    if at > i then read_content(events, s, i, at - 1, base) end
    local is_empty = events.column == 0
    events.column, events.is_data = 0, true
    i = at + 1
    if at == events.cr then
      if byte(s, i) == LF then
        i = i + 1
      else
        events.after_cr = at == size
      end
    end
    if is_empty then return i - 1 end
  end
  events.bytes = events.bytes + size - begin + 1
  return nil
end
