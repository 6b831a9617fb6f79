-- Token counts from a usage object into dynamic metadata, where the access logs find them. The last value of
-- each wins: engines repeat growing counts, so an answer that is cut off still says what was generated so far.

local USAGE_MEMBERS = {
  prompt_tokens = true, completion_tokens = true, prompt_tokens_details = true,
  input_tokens = true, output_tokens = true, input_tokens_details = true,
  cache_read_input_tokens = true, cache_creation_input_tokens = true,
}
local DETAIL_MEMBERS = { cached_tokens = true }
-- Lua numbers are doubles: up to 15 digits they are exact.
local COUNT_DIGITS = 15

local function members(text, wanted)
  local scan = new_scan(wanted)
  feed(scan, text, 0)
  return scan.found
end

local function count(text)
  if text and #text <= COUNT_DIGITS and find(text, "^%d+$") then return tonumber(text) end
  return nil
end

-- Adds what a "usage" member says to the counts of its scan; other members are left alone. Three dialects:
--   Chat, Completions   prompt_tokens, completion_tokens, prompt_tokens_details.cached_tokens
--   Responses           input_tokens, output_tokens, input_tokens_details.cached_tokens
--   Messages            output_tokens, and a prompt in three parts that do not overlap: input_tokens,
--                       cache_read_input_tokens, cache_creation_input_tokens
local function count_usage(scan, name, text)
  if name ~= "usage" then return end
  local counts = scan.counts
  local found = members(text, USAGE_MEMBERS)
  local read, input = count(found.cache_read_input_tokens), count(found.input_tokens)
  if input then input = input + (read or 0) + (count(found.cache_creation_input_tokens) or 0) end
  local output = count(found.completion_tokens) or count(found.output_tokens)
  local details = found.prompt_tokens_details or found.input_tokens_details
  local cached = details and count(members(details, DETAIL_MEMBERS).cached_tokens) or read
  counts.prompt_tokens = count(found.prompt_tokens) or input or counts.prompt_tokens
  counts.completion_tokens = output or counts.completion_tokens
  counts.cached_tokens = cached or counts.cached_tokens
end

-- Writes the counts that are not yet in the metadata; `published` remembers those that are.
-- The metadata object must be fetched anew: Envoy's objects do not outlive a yield.
local function publish(handle, counts, published)
  local metadata
  for name, value in pairs(counts) do
    if published[name] ~= value then
      metadata = metadata or handle:streamInfo():dynamicMetadata()
      metadata:set("headgate.usage", name, value)
      published[name] = value
    end
  end
end
