-- ---------------------------------------------------------------------------------------------------- chunks
-- A chunk is several messages of one inbox and level, one behind the other. Its id is `<seq of the first>-<how
-- many>`. It waits in the inbox's stream, or set aside in a hash. How far its messages are is a text in `parts`, a
-- character each: 0 to be delivered, 2 given to an agent, 1 done with. `redis/chunks.py` has the same records.

local HEAD = '>I4I2I4ddI4'  -- body, attempts, order; created, expires (seconds, 0: never); history

local function span(id)
  local seq, n = id:match('^(%d+)-(%d+)$')
  return tonumber(seq), tonumber(n)
end

local function id_of(seq, n) return string.format('%.0f-%.0f', seq, n) end

local function record(chunk, at)
  local size, attempts, order, created, expires, told, history = struct.unpack(HEAD, chunk, at)
  local body = history + told
  return {at = at, size = size, attempts = attempts, order = order, created = created, expires = expires,
          history = history, body = body, stop = body + size}
end

local function is_done(part, i) return part and part:byte(i) == 49 end
local function unsettled(part, n) return part and n - select(2, part:gsub('1', '')) or n end
local function mark(part, n, i) part = part or string.rep('0', n); return part:sub(1, i - 1) .. '1' .. part:sub(i + 1) end

local function load(name, level, id)  -- wherever it is; nil if it is nowhere
  local item = call('HGET', aside(name, level), id)
  if item then
    local kind, pattern, first = item:match('^(%a+)\n([^\n]*)\n()')
    return {kind = kind, pattern = pattern, chunk = item:sub(first), aside = true}
  end
  local found = call('XRANGE', queue(name, level), id, id)
  if #found == 0 then return nil end
  local flat = found[1][2]
  return {kind = flat[1], chunk = flat[2], pattern = flat[4] or ''}
end

local function set_aside(name, level, id, kind, pattern, chunk, due)
  call('HSET', aside(name, level), id, kind .. '\n' .. pattern .. '\n' .. chunk)
  local seq, n = span(id)
  if due > now then
    local t = tally(name)
    t.dl = t.dl + n
    call('ZADD', P .. 'due', due, member(level, id, name))
  else
    call('ZADD', back(name, level), seq, id)
  end
end

local function forget(name, level, id)  -- out of everything that has it
  call('XACK', queue(name, level), G, id)
  call('XDEL', queue(name, level), id)
  call('HDEL', aside(name, level), id)
  call('ZREM', back(name, level), id)
  call('ZREM', P .. 'exp', member(level, id, name))
  call('HDEL', parts(name), id)
  local _, n = span(id)
  if call('ZREM', P .. 'due', member(level, id, name)) == 1 then
    local t = tally(name)
    t.dl = t.dl - n
  end
end

-- ---------------------------------------------------------------------------------------------- dead letters

local function later(...)  -- what the archive has to write into SQL
  call('XADD', P .. 'log', '*', ...)
end

local function dead_letter(name, reason, detail, attempts, history, body)
  letters = letters + 1
  local hex = redis.sha1hex(P .. name .. time[1] .. time[2] .. letters)
  local key = hex:sub(1, 8) .. '-' .. hex:sub(9, 12) .. '-' .. hex:sub(13, 16) .. '-' .. hex:sub(17, 20) .. '-' .. hex:sub(21, 32)
  later('d', cjson.encode({key, name, reason, detail, attempts, now / 1000, history}), 'b', body)
end

local function give_up(name, entry, found, reason, detail)  -- one message; the caller marks it as done
  hold(name, -1, -found.size)
  local t = tally(name)
  if entry.kind ~= 'e' then
    t.d = t.d + 1
    return
  end
  if reason == 'QUEUE_OVERFLOW' then t.d = t.d + 1 end
  local history = entry.chunk:sub(found.history, found.body - 1)
  dead_letter(name, reason, detail, found.attempts, history, entry.chunk:sub(found.body, found.stop - 1))
end

local function bury(name, level, id, reason, detail)  -- all that is left of a chunk that nobody has
  local entry, part = load(name, level, id), call('HGET', parts(name), id)
  forget(name, level, id)
  if not entry then return end
  local _, n = span(id)
  local at = 1
  for i = 1, n do
    local found = record(entry.chunk, at)
    if not is_done(part, i) then give_up(name, entry, found, reason, detail) end
    at = found.stop
  end
end

-- ------------------------------------------------------------------------------------- queues that drop the oldest

local function first_waiting(name, level)
  local id = call('ZRANGE', back(name, level), 0, 0)[1]
  if id then return id end
  local key = queue(name, level)
  if call('EXISTS', key) == 0 then return nil end
  local group = fields(call('XINFO', 'GROUPS', key)[1])
  local found = call('XRANGE', key, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)
  return #found > 0 and found[1][1] or nil
end

local OVERFLOW = 'the inbox was full, and this was the oldest of its lowest priority'

local function shed_from(name, level, id)
  local t, entry, part = tally(name), load(name, level, id), call('HGET', parts(name), id)
  if not entry then return forget(name, level, id) end
  local _, n = span(id)
  local at = 1
  for i = 1, n do
    local over = (t.n > t.most or t.b > t.most_bytes) and t.n - t.f - t.dl > 1
    local found = record(entry.chunk, at)
    if over and not is_done(part, i) then
      give_up(name, entry, found, 'QUEUE_OVERFLOW', OVERFLOW)
      part = mark(part, n, i)
    end
    at = found.stop
  end
  if unsettled(part, n) == 0 then forget(name, level, id) else call('HSET', parts(name), id, part) end
end

local function make_room(name, t)
  local level = 0
  while level < 4 and (t.n > t.most or t.b > t.most_bytes) and t.n - t.f - t.dl > 1 do
    local id = first_waiting(name, level)
    if id then shed_from(name, level, id) else level = level + 1 end
  end
end

local function finish()
  local dropping = {}
  for name, t in pairs(tallies) do
    if t.drops and not t.gone then dropping[name] = t end
  end
  for name, t in pairs(dropping) do make_room(name, t) end
  write_tallies()
end
