-- Takes out of a stream what the gateway asked the engine for and the client did not. Every other byte stays.
--   "usage"       the client asked for no usage: no usage member, and no event that is only about usage
--   "continuous"  the client asked for usage at the end: no usage member beside choices
-- An event is sent on as soon as it is complete; at most one is held back.

-- A longer event passes as it is: no engine sends one, and memory must stay bounded.
local HELD_BYTES = 4 * 1024 * 1024
-- Smaller pieces are joined, so that an event that comes byte by byte is not held as a table of bytes.
local PIECE_BYTES = 4096

local function new_strip(mode)
  return { mode = mode, held = {}, held_bytes = 0, out = {}, is_passing = false, is_dropped = false }
end

local function hold(strip, text)
  local held = strip.held
  strip.held_bytes = strip.held_bytes + #text
  if #held > 0 and #held[#held] < PIECE_BYTES then
    held[#held] = held[#held] .. text
  else
    held[#held + 1] = text
  end
end

-- Sends the pieces of one event on, without the bytes of `cuts` (counted from the event's first byte).
-- A member that reaches over data lines goes with the line ends between.
local function send(strip, cuts)
  local out, before, c = strip.out, 0, 1
  for _, piece in ipairs(strip.held) do
    local from, size = 1, #piece
    while cuts[c] and cuts[c] - before <= size do
      local cut_from, cut_to = cuts[c] - before, cuts[c + 1] - before
      if cut_from > from then out[#out + 1] = sub(piece, from, cut_from - 1) end
      from = cut_to + 1
      if cut_to > size then break end
      c = c + 2
    end
    if from <= size then out[#out + 1] = from == 1 and piece or sub(piece, from) end
    before = before + size
  end
  strip.held, strip.held_bytes = {}, 0
end

local NO_CUTS = {}

-- The end of a piece of the stream: what is left of it belongs to an event that is not complete.
local function suspend_event(strip, text)
  hold(strip, text)
  if strip.is_passing or strip.held_bytes > HELD_BYTES then
    strip.is_passing = true
    send(strip, NO_CUTS)
  end
end

local function end_event(strip, text, scan)
  local found = scan.found
  hold(strip, text)
  local is_usage_only = found.choices and find(found.choices, "^%[%s*%]$")
  local is_whole = strip.is_passing or strip.held_bytes > HELD_BYTES or not found.usage
  strip.is_passing = false
  strip.is_dropped = not is_whole and strip.mode == "usage" and is_usage_only and found.usage ~= "null"
  if strip.is_dropped then
    strip.held, strip.held_bytes = {}, 0
  elseif not is_whole and (strip.mode == "usage" or found.choices and not is_usage_only) then
    send(strip, scan.cuts)
  else
    send(strip, NO_CUTS)
  end
end

-- The late LF of a torn CRLF shares the fate of its event.
local function end_tail(strip, text)
  if not strip.is_dropped then strip.out[#strip.out + 1] = text end
end

local function take_out(strip)
  local out = concat(strip.out)
  strip.out = {}
  return out
end
