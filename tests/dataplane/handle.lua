-- A double of the handle that Envoy gives to `envoy_on_response`, as strict as the real one: bodies come
-- through a coroutine, objects die at the next yield, headers are fixed once the first chunk is awaited,
-- and `setBytes` is refused after the chunk has gone on.

local function mortal(life, methods)
  local object = {}
  for name, method in pairs(methods) do
    object[name] = function(_, ...)
      assert(life.alive, "object used outside of proper scope: " .. name)
      return method(...)
    end
  end
  return object
end

local function new_handle(headers, metadata)
  local life = { alive = true }
  local handle = { metadata = metadata, headers_sent = false, is_ended = false, sets = 0 }
  local function next_chunk()
    if handle.is_ended then return nil end
    life.alive = false
    handle.headers_sent = true
    local box = coroutine.yield()
    life = { alive = true }
    handle.is_ended = box.is_last
    if box.is_trailers then return nil end
    return mortal(life, {
      length = function() return #box.bytes end,
      getBytes = function(from, length)
        assert(from >= 0 and length >= 0 and from + length <= #box.bytes, "out of the buffer")
        return string.sub(box.bytes, from + 1, from + length)
      end,
      setBytes = function(bytes) box.bytes = bytes end,
    })
  end
  function handle:headers()
    return mortal(life, {
      get = function(name) return headers[name] end,
      remove = function(name)
        assert(not self.headers_sent, "header map can no longer be modified")
        headers[name] = nil
      end,
    })
  end
  function handle:bodyChunks() return next_chunk end
  function handle:streamInfo()
    return mortal(life, {
      dynamicMetadata = function()
        return mortal(life, {
          get = function(namespace) return metadata[namespace] end,
          set = function(namespace, key, value)
            self.sets = self.sets + 1
            metadata[namespace] = metadata[namespace] or {}
            metadata[namespace][key] = value
          end,
        })
      end,
    })
  end
  return handle
end

-- Runs the filter over `chunks`; returns the chunks it let through, the metadata and the headers left.
function drive(headers, strip, chunks, is_last_empty)
  local metadata = { headgate = { settle_key = "s", strip = strip } }
  local handle = new_handle(headers, metadata)
  local filter = coroutine.create(envoy_on_response)
  local ok, fault = coroutine.resume(filter, handle)
  assert(ok, fault)
  local out = {}
  local count = #chunks
  for i = 1, count + (is_last_empty and 1 or 0) do
    local box = { bytes = chunks[i] or "", is_last = is_last_empty and i > count or not is_last_empty and i == count }
    if coroutine.status(filter) ~= "dead" then
      ok, fault = coroutine.resume(filter, box)
      assert(ok, fault)
    end
    out[i] = box.bytes
  end
  return out, metadata["headgate.usage"] or {}, headers, coroutine.status(filter), handle.sets
end
