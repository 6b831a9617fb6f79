-- The answer filter: counts tokens in JSON and SSE answers, and strips streams when the gateway's metadata
-- asks for it. Answers of other kinds are left alone and cost nothing, and so are those of sidecars and the
-- gateway's own replies: what they say of usage is no engine's word, and was counted where one was asked.

local JSON_MEMBERS = { usage = true }

local function read_json(handle)
  local scan, published = new_scan(JSON_MEMBERS, count_usage), {}
  scan.counts = {}
  for chunk in handle:bodyChunks() do
    local size = chunk:length()
    if size > 0 and scan.step ~= done then
      feed(scan, chunk:getBytes(0, size), 0)
      publish(handle, scan.counts, published)
    end
  end
end

-- Reads one piece of a stream: usage is counted, and what the client may see goes into `strip`.
local function read_piece(events, s, strip)
  local i = 1
  events.lf, events.cr = 0, 0
  while i <= #s do
    local last = event_end(events, s, i)
    if not last then
      if strip then suspend_event(strip, sub(s, i)) end
      return
    end
    if events.is_tail then
      if strip then end_tail(strip, sub(s, i, last)) end
    else
      if strip then end_event(strip, sub(s, i, last), events.scan) end
      begin_event(events)
    end
    i = last + 1
  end
end

local function read_stream(handle, mode)
  local counts, published = {}, {}
  local events = new_events(counts)
  local strip = mode and new_strip(mode)
  local chunk, out
  for next_chunk in handle:bodyChunks() do
    chunk, out = next_chunk, ""
    local size = chunk:length()
    if size > 0 then
      local s = chunk:getBytes(0, size)
      read_piece(events, s, strip)
      publish(handle, counts, published)
      if strip then
        out = take_out(strip)
        if out ~= s then chunk:setBytes(out) end
      end
    end
  end
  -- The last event need not be terminated. The last chunk is still ours until this function returns.
  if strip and chunk and events.bytes > 0 then
    end_event(strip, "", events.scan)
    chunk:setBytes(out .. take_out(strip))
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  if (headers:get("content-encoding") or "identity") ~= "identity" then return end
  local kind = string.lower(headers:get("content-type") or "")
  local is_json = find(kind, "^application/json%f[^%w/.+-]")
  if not is_json and not find(kind, "^text/event%-stream%f[^%w/.+-]") then return end
  local metadata = handle:streamInfo():dynamicMetadata():get("headgate")
  if metadata and (metadata.sidecar or metadata.reply) then return end
  if is_json then
    read_json(handle)
  else
    local mode = metadata and metadata.strip
    -- Envoy would otherwise promise the client the bytes that are taken out.
    if mode then headers:remove("content-length") end
    read_stream(handle, mode)
  end
end
