-- ------------------------------------------------------------------------------------------------- publishing

local function turn_window()  -- how many ids are in the young generation
  local young = P .. 'ids'
  local turned, count = tonumber(call('GET', P .. 'turned') or '0'), call('SCARD', young)
  if now - turned < ask.window and count < ask.most_ids then return count end
  call('UNLINK', P .. 'ids:old')
  if count > 0 then call('RENAME', young, P .. 'ids:old') end
  call('SET', P .. 'turned', now, 'PX', ask.window * 3)
  return 0
end

local function known_ids(ids)  -- places, from 0, of those that were taken before
  local known = {}
  for start = 1, #ids, 1000 do
    local stop = math.min(start + 999, #ids)
    for _, key in ipairs({P .. 'ids', P .. 'ids:old'}) do
      for i, there in ipairs(call('SMISMEMBER', key, unpack(ids, start, stop))) do
        if there == 1 then known[#known + 1] = start + i - 2 end
      end
    end
  end
  return known
end

local function full_inboxes()
  local full = {}
  for _, into in ipairs(ask.into) do  -- inbox, messages, bytes
    local t = tally(ask.names[into[1]])
    local fits
    if t.drops then
      fits = t.dl < t.most and t.dl + (into[4] or 0) <= t.most  -- what is held back is not dropped
    else
      fits = t.n + into[2] <= t.most and t.b + into[3] <= t.most_bytes
    end
    if not fits then full[#full + 1] = {into[1], t.n, t.b, t.most, t.most_bytes, t.drops and t.dl or -1} end
  end
  return full
end

local function tokens()
  local found = call('HMGET', P .. 'rate', 'k', 'at')
  local burst = math.max(1, ask.rate)
  return math.min(burst, tonumber(found[1] or burst) + (now - tonumber(found[2] or now)) / 1000 * ask.rate)
end

local function conflict(answer)  -- whether some of what is to be published cannot be; then nothing is done
  local known, full = known_ids(ask.ids), full_inboxes()
  local found, count = false, #ask.ids
  if #known > 0 then answer.known, found = known, true end
  if #full > 0 then answer.full, found = full, true end
  if ask.quota > 0 and ask.bytes > 0 then
    local use = tonumber(call('GET', P .. 'use') or '0')
    if use + ask.bytes > ask.quota then answer.use, found = use, true end
  end
  if ask.rate > 0 and count > 0 then
    local there = tokens()
    if there < count then
      answer.tokens, found = tostring(there), true
    elseif not found then
      call('HSET', P .. 'rate', 'k', tostring(there - count), 'at', now)
    end
  end
  return found
end

local function add(key, id, kind, pattern, chunk)
  if pattern == '' then return call('XADD', key, 'NOMKSTREAM', id, kind, chunk) end
  return call('XADD', key, 'NOMKSTREAM', id, kind, chunk, 's', pattern)
end

local function push(name, level, id, n, kind, pattern, chunk)
  local key = queue(name, level)
  if not add(key, id, kind, pattern, chunk) then
    call('XGROUP', 'CREATE', key, G, '0', 'MKSTREAM')
    add(key, id, kind, pattern, chunk)
  end
  local new = pushed[name] or {n = 0, level = level}
  new.n, new.level = new.n + n, new.level == level and level
  pushed[name] = new
end

local function enter(group, seq, touched)  -- bytes, how many, their size, level, due, expires, in the history, targets
  local chunk, n, size, level, due, expires = blob(group[1]), group[2], group[3], group[4], group[5], group[6]
  local id = id_of(seq, n)
  for _, target in ipairs(group[8]) do  -- inbox, kind, pattern
    local name = ask.names[target[1]]
    hold(name, n, size)
    if due > now then
      set_aside(name, level, id, target[2], target[3], chunk, due)
    else
      push(name, level, id, n, target[2], target[3], chunk)
      touched[name] = true
    end
    if expires > 0 then call('ZADD', P .. 'exp', expires, member(level, id, name)) end
  end
end

local function publish(touched, young)
  local total, log = 0, {}
  for _, group in ipairs(ask.pub) do total = total + group[2] end
  local seq = call('INCRBY', P .. 'seq', total) - total + 1
  for _, group in ipairs(ask.pub) do
    enter(group, seq, touched)
    seq = seq + group[2]
    if group[7] == 1 then
      log[#log + 1] = 'm' .. #log
      log[#log + 1] = blob(group[1])
    end
  end
  in_pieces(log, 4000, later)
  local ids = P .. 'ids'
  in_pieces(ask.ids, 1000, function(...) call('SADD', ids, ...) end)
  if young == 0 and #ask.ids > 0 then call('PEXPIRE', ids, ask.window * 2) end
end

local operations = {}

function operations.readmit(answer)  -- dead letters, or messages of the history, into one inbox; 1 for each that went
  local name, touched, done, log = ask.names[1], {}, {}, {}
  local there = call('HEXISTS', P .. 'inboxes', name) == 1
  for i, row in ipairs(ask.rows) do  -- bytes, their size, level, expires, letter
    local t = tally(name)
    local fits
    if t.drops then fits = t.dl < t.most else fits = t.n < t.most and t.b + row[2] <= t.most_bytes end
    if not there or not fits then
      if ask.stop then break end
      done[i] = 0
    elseif row[5] ~= '' and call('SADD', P .. 'ids', 'redrive:' .. row[5]) == 0 then
      done[i] = 0
    else
      local seq = call('INCR', P .. 'seq')
      enter({row[1], 1, row[2], row[3], 0, row[4], 1, {{1, 'e', ''}}}, seq, touched)
      later('m', blob(row[1]))
      if row[5] ~= '' then later('r', row[5]) end
      done[i] = 1
    end
  end
  local t = tally(name)
  answer.done, answer.n, answer.b = done, t.n, t.b
  wake(touched)
  answer.woken = {name}
end
