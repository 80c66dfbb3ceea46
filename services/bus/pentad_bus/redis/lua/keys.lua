-- The state of one tenant, in one hash slot, and all that changes it. One call is one atomic step.
--
-- KEYS[1]  any key of the tenant: it says which slot.
-- ARGV     prefix of the tenant's keys, operation, JSON, then bytes that the JSON names by their places.
-- Answers  JSON, then bytes. docs/adr/0012 explains the keys. The files of this folder are one library.

local G = 'bus'  -- the consumer group of every queue; a consumer is a bus process

-- Of one call, set anew by `run` in operations.lua.
local call                    -- redis.call, which is not there yet when the library is loaded
local P, op, ask, arguments
local time, now               -- seconds and microseconds; epoch milliseconds
local tallies, used           -- what inboxes hold, by name; bytes that all of them hold more
local letters                 -- dead letters
local pushed                  -- by inbox: messages that came, and their level unless there are several
local known_version           -- of the directory
local lease_ends

local function blob(place) return arguments[3 + place] end

local function queue(name, level) return P .. 'q:' .. level .. ':' .. name end
local function aside(name, level) return P .. 'x:' .. level .. ':' .. name end
local function back(name, level) return P .. 'r:' .. level .. ':' .. name end
local function parts(name) return P .. 'p:' .. name end
local function info(name) return P .. 'i:' .. name end
local function member(level, id, name) return level .. '|' .. id .. '|' .. name end
local function members(text) return text:match('^([^|]*)|([^|]*)|(.*)$') end

local function fields(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function in_pieces(list, size, act)  -- what has many arguments is called with some at a time
  for first = 1, #list, size do act(unpack(list, first, math.min(first + size - 1, #list))) end
end

-- What an inbox holds: messages, bytes, in flight, delayed, dropped; and its bounds.

local function keep_to(t, policy)  -- what its agent asked for, within the bus's own bounds
  local most, most_bytes, overflow = unpack(ask.bounds)
  t.most = policy[1] > 0 and math.min(policy[1], most) or most
  t.most_bytes = policy[2] > 0 and math.min(policy[2], most_bytes) or most_bytes
  t.drops = (policy[3] ~= '' and policy[3] or overflow) == 'drop_oldest'
end

local COUNTS = {'n', 'b', 'f', 'dl', 'd'}

local function tally(name)
  local t = tallies[name]
  if t then return t end
  local found = call('HMGET', info(name), 'n', 'b', 'f', 'dl', 'd', 'pol')
  t = {was = {}}
  for i, count in ipairs(COUNTS) do
    t[count] = tonumber(found[i] or '0')
    t.was[count] = t[count]
  end
  keep_to(t, found[6] and cjson.decode(found[6]) or {0, 0, ''})
  tallies[name] = t
  return t
end

local function hold(name, messages, bytes)
  local t = tally(name)
  t.n, t.b = t.n + messages, t.b + bytes
  used = used + bytes
end

local function write_tallies()
  for name, t in pairs(tallies) do
    local changed = {}
    for _, count in ipairs(COUNTS) do
      if t[count] ~= t.was[count] then
        changed[#changed + 1] = count
        changed[#changed + 1] = t[count]
      end
    end
    if #changed > 0 and not t.gone then call('HSET', info(name), unpack(changed)) end
  end
  if used ~= 0 then call('INCRBY', P .. 'use', used) end
end

local function wake(names)
  if next(names) == nil or call('ZCARD', P .. 'procs') < 2 then return end
  local list = {}
  for name in pairs(names) do list[#list + 1] = name end
  call('SPUBLISH', P .. 'wake', cjson.encode({ask.p, list}))
end
