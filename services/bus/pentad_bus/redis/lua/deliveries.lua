-- ------------------------------------------------------------------------------------------------- deliveries

local MOST_BYTES, PATIENCE = 2097152, 16

local function owned(process) return P .. 'a:' .. process end

local function cut(chunk, n, part, most)  -- how many records have `most` that are not done with; where they end
  local at = 1
  for i = 1, n do
    if not is_done(part, i) then
      if most == 0 then return i - 1, at end
      most = most - 1
    end
    at = record(chunk, at).stop
  end
  return n, at
end

local function leave_over(name, level, seq, n, entry, part)
  local id = id_of(seq, n)
  set_aside(name, level, id, entry.kind, entry.pattern, entry.chunk, 0)
  if part and part:find('1', 1, true) then call('HSET', parts(name), id, part) end
end

local function split(name, level, id, entry, part, most)  -- id, bytes and part of what is handed out
  local seq, n = span(id)
  local count, stop = cut(entry.chunk, n, part, most)
  local rest = {kind = entry.kind, pattern = entry.pattern, chunk = entry.chunk:sub(stop)}
  leave_over(name, level, seq + count, n - count, rest, part and part:sub(count + 1))
  local head = entry.chunk:sub(1, stop - 1)
  if not entry.aside then  -- what is in a stream cannot be changed: the rest counts as done there
    part = (part or string.rep('0', n)):sub(1, count) .. string.rep('1', n - count)
    call('HSET', parts(name), id, part)
    return id, head, part
  end
  call('HDEL', aside(name, level), id)
  call('HDEL', parts(name), id)
  id, part = id_of(seq, count), part and part:sub(1, count)
  call('HSET', aside(name, level), id, entry.kind .. '\n' .. entry.pattern .. '\n' .. head)
  if part then call('HSET', parts(name), id, part) end
  return id, head, part
end

local function size_of(chunk, part)
  local at, i, size = 1, 1, 0
  while at <= #chunk do
    local found = record(chunk, at)
    if not is_done(part, i) then size = size + found.size end
    at, i = found.stop, i + 1
  end
  return size
end

local function hand_out(out, place, level, id, entry, most)  -- how many messages
  local name = ask.names[place]
  local t, part = tally(name), call('HGET', parts(name), id)
  local _, n = span(id)
  local count = unsettled(part, n)
  if entry.aside then call('ZREM', back(name, level), id) end
  local chunk = entry.chunk
  if count > most then
    id, chunk, part = split(name, level, id, entry, part, most)
    count = most
  end
  if entry.kind:sub(1, 1) == 'o' then  -- at most once: not here any more when it is delivered
    hold(name, -count, -size_of(chunk, part))
    forget(name, level, id)
  else
    t.f = t.f + count
    if entry.aside then call('SADD', owned(ask.p), member(level, id, name)) end
  end
  out.got[#out.got + 1] = {place, level, id, entry.aside and 1 or 0, entry.kind, entry.pattern, part or ''}
  out.bytes[#out.bytes + 1] = chunk
  out.size = out.size + #chunk
  return count
end

local function take_aside(out, place, level, most)  -- what came back, was held back or left over: it is older
  local name, taken = ask.names[place], 0
  while taken < most and out.size < MOST_BYTES do
    local found = call('ZRANGE', back(name, level), 0, 15)
    if #found == 0 then break end
    for _, id in ipairs(found) do
      if taken >= most or out.size >= MOST_BYTES then break end
      local entry = load(name, level, id)
      if entry and entry.aside then
        taken = taken + hand_out(out, place, level, id, entry, most - taken)
      else
        call('ZREM', back(name, level), id)
      end
    end
  end
  return taken
end

local function take_new(out, place, level, most)  -- what nobody had yet, from the stream, which there is
  local name, taken = ask.names[place], 0
  local key, wanted = queue(name, level), 1
  local held = false
  while taken < most and out.size < MOST_BYTES do
    local found = call('XREADGROUP', 'GROUP', G, ask.p, 'COUNT', wanted, 'STREAMS', key, '>')
    if not found or #found == 0 then break end
    held = true
    local before = taken
    for _, item in ipairs(found[1][2]) do
      local flat = item[2]
      local entry = {kind = flat[1], chunk = flat[2], pattern = flat[4] or ''}
      if taken < most then
        taken = taken + hand_out(out, place, level, item[1], entry, most - taken)
      else  -- one too many was read
        local seq, n = span(item[1])
        leave_over(name, level, seq, n, entry, nil)
        call('XACK', key, G, item[1])
        call('XDEL', key, item[1])
      end
    end
    if #found[1][2] < wanted then break end
    wanted = math.min(taken - before <= wanted and wanted * 4 or 1, math.max(most - taken, 1), 64)
  end
  if held then call('SADD', P .. 'held:' .. ask.p, level .. '|' .. name) end
  return taken
end

local function take(out, place, level, most)
  local taken = take_aside(out, place, level, most)
  if taken == most or call('EXISTS', queue(ask.names[place], level)) == 0 then return taken end
  return taken + take_new(out, place, level, most - taken)
end

local function in_turn(out, place, there, most)  -- the higher level first, but none left waiting for ever
  local name, left = ask.names[place], most
  local passed = call('HMGET', info(name), 'p0', 'p1', 'p2')
  for level = 2, 0, -1 do  -- a level that was passed over long enough goes first
    local waited = tonumber(passed[level + 1] or '0')
    if there[level] and waited >= PATIENCE and left > 0 then
      left = left - take(out, place, level, math.min(left, math.floor(waited / PATIENCE)))
      waited = waited % PATIENCE
    end
    passed[level + 1] = waited
  end
  for level = 3, 0, -1 do
    if there[level] and left > 0 then
      local taken = take(out, place, level, left)
      left = left - taken
      for lower = 0, level - 1 do passed[lower + 1] = there[lower] and passed[lower + 1] + taken or 0 end
    end
  end
  call('HSET', info(name), 'p0', passed[1] % 4096, 'p1', passed[2] % 4096, 'p2', passed[3] % 4096)
  return most - left
end

local function pull(out, place, most)
  local name = ask.names[place]
  local t, new = tally(name), pushed[name]
  local waiting = t.n - t.f - t.dl
  if waiting <= 0 then return end
  local taken = 0
  if new and new.n == waiting and new.level then  -- as a rule nothing waits but what has just come
    taken = take_new(out, place, new.level, math.min(most, waiting))
  else
    local there, several, only = {}, 0, 0
    for level = 0, 3 do
      there[level] = call('EXISTS', back(name, level)) == 1 or call('XLEN', queue(name, level)) > 0
      if there[level] then several, only = several + 1, level end
    end
    if several == 1 then
      taken = take(out, place, only, math.min(most, waiting))
    elseif several > 1 then
      taken = in_turn(out, place, there, math.min(most, waiting))
    end
  end
  if taken > 0 and taken < waiting then out.more[#out.more + 1] = place end
end
