-- Makes a request fit for the pool that this attempt goes to. POOL is its name; UPSTREAM says where it is, if
-- it is a service elsewhere.
--
-- All attempts of a request share one set of headers: what one of them sets, the next finds. So each begins
-- by taking out what another may have put in, keys before all else, and says path and host anew.
--
-- `headgate.tries` is what the worker knows of a request that may go to several pools: in `pools`, for each but
-- the first, the `head` that its body begins with there, and the `facts` to bill it by.

local TRIES = "headgate.tries"

local CREDENTIALS = { "authorization", "proxy-authorization", "x-api-key", "api-key", "cookie" }

-- What was picked in the first pool is nothing to another.
local OF_THE_FIRST = { "x-prefiller-host-port", "x-gateway-destination-endpoint" }

-- All that a service elsewhere is shown; the rest is between the client and us.
local SHOWN = {
  [":method"] = true, [":path"] = true, [":scheme"] = true, [":authority"] = true,
  ["content-type"] = true, ["content-length"] = true, ["transfer-encoding"] = true, ["accept"] = true,
  ["x-request-id"] = true, ["traceparent"] = true,
  ["anthropic-version"] = true, ["anthropic-beta"] = true, ["openai-beta"] = true,
}

-- All that it may tell the client.
local TOLD = {
  [":status"] = true, ["content-type"] = true, ["content-length"] = true, ["content-encoding"] = true,
  ["transfer-encoding"] = true, ["retry-after"] = true, ["date"] = true,
}

-- Of our key, our account's means, our rights there: nothing that a client could mend. A 402 of ours would tell it
-- that its own budget is used up.
local OURS = { ["401"] = true, ["402"] = true, ["403"] = true }

local WHY = '"message":"The provider of this model refuses the gateway; its operator must mend that."'
local REFUSED = '{"error":{' .. WHY .. ',"type":"server_error","param":null,"code":"upstream_refused"}}'
local REFUSED_ANTHROPIC = '{"type":"error","error":{"type":"api_error",' .. WHY .. '}}'

local function keep_only(headers, wanted)
  local others = {}
  for name in pairs(headers) do
    if not wanted[name] then others[#others + 1] = name end
  end
  for _, name in ipairs(others) do headers:remove(name) end
end

-- As they were when the request came to the first pool.
local function restore(headers, metadata, tries)
  local path = tries and tries.path
  if path then return path, tries.authority end
  local authority
  path, authority = headers:get(":path"), headers:get(":authority")
  metadata:set(TRIES, "path", path)
  metadata:set(TRIES, "authority", authority)
  return path, authority
end

-- Puts `head` in place of the first `left` bytes of the body, however it is cut into pieces.
local function replace_head(handle, left, head)
  for chunk in handle:bodyChunks() do
    local size = chunk:length()
    if size > 0 and (left > 0 or head) then
      local cut = left < size and left or size
      left = left - cut
      chunk:setBytes((head or "") .. (cut < size and chunk:getBytes(cut, size - cut) or ""))
      head = nil
    end
  end
end

function envoy_on_request(handle)
  local headers, metadata = handle:headers(), handle:streamInfo():dynamicMetadata()
  local tries = metadata:get(TRIES)
  if not tries and not UPSTREAM then return end
  for _, name in ipairs(CREDENTIALS) do headers:remove(name) end
  local path, authority = restore(headers, metadata, tries)
  if UPSTREAM then
    keep_only(headers, SHOWN)
    -- Without the query, where some clients put keys.
    path, authority = UPSTREAM.path .. (string.match(path, "^/v1([^?]*)") or ""), UPSTREAM.authority
    headers:replace("user-agent", "headgate")
    for name, value in pairs(UPSTREAM.headers) do
      if not headers:get(name) then headers:replace(name, value) end
    end
  end
  headers:replace(":path", path)
  headers:replace(":authority", authority)
  local try = tries and tries.pools and tries.pools[POOL]
  if not try then return end
  for name, value in pairs(try.facts) do metadata:set("headgate", name, value) end
  if not UPSTREAM then
    for _, name in ipairs(OF_THE_FIRST) do headers:remove(name) end
    headers:replace("x-headgate-model", try.facts.model)
    headers:replace("x-headgate-track", try.facts.track)
  end
  headers:replace("content-length", string.format("%d", #try.head + tries.tail_bytes))
  replace_head(handle, tries.head_bytes, try.head)
end

-- A service elsewhere tells the client nothing of our account there.
function envoy_on_response(handle)
  if not UPSTREAM then return end
  local headers = handle:headers()
  local status = headers:get(":status")
  keep_only(headers, TOLD)
  if not OURS[status] then return end
  headers:replace(":status", "502")
  headers:replace("content-type", "application/json")
  local metadata = handle:streamInfo():dynamicMetadata()
  local path = (metadata:get(TRIES) or {}).path or ""
  metadata:set("headgate", "refused", status)
  handle:body(true):setBytes(string.find(path, "^/v1/messages") and REFUSED_ANTHROPIC or REFUSED)
end
