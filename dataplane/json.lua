-- An incremental scanner for one JSON document. It finds chosen members of the top-level object, and only
-- those: a "usage" inside a string, a tool schema or log probabilities is never one of them.
--
-- Bytes come through `feed` in pieces of any size, one byte at a time if need be. A long string or a run of
-- numbers is jumped over with plain string.find, which is memchr inside: a 22 MB embedding costs milliseconds.
-- `scan.step` is the state: the function that reads the next byte. A document that is no object, or no JSON,
-- ends in `done`, which reads nothing more.

local byte, char, find, gsub, sub = string.byte, string.char, string.find, string.gsub, string.sub
local concat, huge = table.concat, math.huge

local QUOTE, BACKSLASH, COMMA, COLON = 34, 92, 44, 58
local OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET = 123, 125, 91

-- A wanted value longer than this is kept up to here. A usage object has about 300 bytes.
local KEPT_BYTES = 65536
-- Longer than any wanted name with every letter written as \uXXXX: a key cut here matches nothing.
local KEY_BYTES = 256

local function is_space(c)
  return c == 32 or c == 10 or c == 13 or c == 9
end

-- The quote that closes the string we are in, from `i` on, or nil when this piece ends first.
local function closing_quote(scan, s, i)
  if scan.escaped then
    scan.escaped = false
    i = i + 1
  end
  while true do
    local at = find(s, '"', i, true)
    local stop = (at or #s + 1) - 1
    local k = stop
    while k >= i and byte(s, k) == BACKSLASH do k = k - 1 end
    local escaped = (stop - k) % 2 == 1
    if not at then
      scan.escaped = escaped
      return nil
    end
    if not escaped then return at end
    i = at + 1
  end
end

local function keep(scan, s, to)
  local room = KEPT_BYTES - scan.kept_bytes
  local to_kept = to - scan.kept_from < room and to or scan.kept_from + room - 1
  scan.kept[#scan.kept + 1] = sub(s, scan.kept_from, to_kept)
  scan.kept_bytes = scan.kept_bytes + to_kept - scan.kept_from + 1
end

local function done(_, s)
  return #s + 1
end

local before_key, feed, new_scan

local function feed_child(scan, s, to)
  feed(scan.child, sub(s, scan.child_from, to), 0)
end

-- The bytes to take out so that the member is gone and the commas of its neighbours are still right.
local function add_cut(scan, at, is_comma)
  local cuts = scan.cuts
  local from, to = scan.member_from, scan.member_to
  if scan.comma then
    from = scan.comma
  elseif is_comma then
    to = at
  end
  cuts[#cuts + 1] = from
  cuts[#cuts + 1] = to
end

local function after_value(scan, s, i)
  local c = byte(s, i)
  if c == COMMA or c == CLOSE_BRACE then
    local at, is_first = scan.offset + i, not scan.comma
    local is_cut = scan.key == scan.cut_key
    if is_cut then add_cut(scan, at, c == COMMA) end
    if not (is_cut and is_first) then scan.comma = at end
    scan.step = c == COMMA and before_key or done
  elseif not is_space(c) then
    scan.step = done
  end
  return i + 1
end

local function end_value(scan, s, last)
  if scan.kept then
    keep(scan, s, last)
    local text = concat(scan.kept)
    scan.kept = nil
    scan.found[scan.key] = text
    if scan.on_value then scan.on_value(scan, scan.key, text) end
  end
  if scan.child then
    feed_child(scan, s, last)
    scan.child = nil
  end
  scan.member_to = scan.offset + last
  scan.step = after_value
end

local function in_string(scan, s, i)
  local at = closing_quote(scan, s, i)
  if not at then return #s + 1 end
  end_value(scan, s, at)
  return at + 1
end

local function in_scalar(scan, s, i)
  local at = find(s, "[,}%s]", i)
  if not at then return #s + 1 end
  end_value(scan, s, at - 1)
  return at
end

local in_container

local function in_container_string(scan, s, i)
  local at = closing_quote(scan, s, i)
  if not at then return #s + 1 end
  scan.step = in_container
  return at + 1
end

-- Runs to the bracket that closes the value. Brackets of the other kind need no counting: they come in pairs.
-- The next place of each of the three characters is remembered, so every byte is searched three times at most.
function in_container(scan, s, i)
  local open, close, depth = scan.open, scan.close, scan.depth
  local quote_at, open_at, close_at = 0, 0, 0
  while true do
    if quote_at < i then quote_at = find(s, '"', i, true) or huge end
    if open_at < i then open_at = find(s, open, i, true) or huge end
    if close_at < i then close_at = find(s, close, i, true) or huge end
    if quote_at < open_at and quote_at < close_at then
      local at = closing_quote(scan, s, quote_at + 1)
      if not at then
        scan.depth, scan.step = depth, in_container_string
        return #s + 1
      end
      i = at + 1
    elseif open_at < close_at then
      depth = depth + 1
      i = open_at + 1
    elseif close_at < huge then
      depth = depth - 1
      i = close_at + 1
      if depth == 0 then
        end_value(scan, s, close_at)
        return i
      end
    else
      scan.depth = depth
      return #s + 1
    end
  end
end

local function before_value(scan, s, i)
  local c = byte(s, i)
  if is_space(c) then return i + 1 end
  if scan.wanted[scan.key] then
    scan.kept, scan.kept_from, scan.kept_bytes = {}, i, 0
  end
  local within = scan.within and scan.within[scan.key]
  if within then
    scan.child, scan.child_from = new_scan(within, scan.on_value), i
    scan.child.counts = scan.counts
  end
  if c == QUOTE then
    scan.step = in_string
  elseif c == OPEN_BRACE then
    scan.step, scan.open, scan.close, scan.depth = in_container, "{", "}", 1
  elseif c == OPEN_BRACKET then
    scan.step, scan.open, scan.close, scan.depth = in_container, "[", "]", 1
  else
    scan.step = in_scalar
    return i
  end
  return i + 1
end

local function before_colon(scan, s, i)
  local c = byte(s, i)
  if c == COLON then
    scan.step = before_value
  elseif not is_space(c) then
    scan.step = done
  end
  return i + 1
end

-- ASCII letters may be written as \uXXXX; what else is escaped is in no wanted name and stays as it is.
local function unescape(key)
  return (gsub(key, "\\(.)(%x?%x?%x?%x?)", function(kind, hex)
    local code = kind == "u" and #hex == 4 and tonumber(hex, 16)
    return code and code < 128 and char(code) or nil
  end))
end

local function in_key(scan, s, i)
  local at = closing_quote(scan, s, i)
  local key = scan.key
  if #key < KEY_BYTES then key = key .. sub(s, i, (at or #s + 1) - 1) end
  scan.key = key
  if not at then return #s + 1 end
  if find(key, "\\", 1, true) then scan.key = unescape(key) end
  scan.step = before_colon
  return at + 1
end

function before_key(scan, s, i)
  local c = byte(s, i)
  if c == QUOTE then
    scan.step, scan.key, scan.member_from = in_key, "", scan.offset + i
  elseif not is_space(c) then
    scan.step = done
  end
  return i + 1
end

local function at_start(scan, s, i)
  local c = byte(s, i)
  if c == OPEN_BRACE then
    scan.step = before_key
  elseif not is_space(c) then
    scan.step = done
  end
  return i + 1
end

-- wanted    set of top-level names whose values are kept, as text: the last one of each in `found`
-- on_value  called with (scan, name, text) for every one of them as it ends; optional
-- cut_key   the name whose members are noted in `cuts`: from, to, from, to, ... counted from 1; optional
-- within    name -> set of names wanted in that member's object, one level down; optional
function new_scan(wanted, on_value, cut_key, within)
  return {
    step = at_start,
    wanted = wanted,
    on_value = on_value,
    cut_key = cut_key,
    within = within,
    found = {},
    cuts = {},
    offset = 0,
    escaped = false,
  }
end

-- offset: where `s` begins, as a distance from the place that cuts are counted from.
function feed(scan, s, offset)
  scan.offset = offset
  scan.kept_from, scan.child_from = 1, 1
  local i, size = 1, #s
  while i <= size do i = scan.step(scan, s, i) end
  if scan.kept then keep(scan, s, size) end
  if scan.child then feed_child(scan, s, size) end
end
