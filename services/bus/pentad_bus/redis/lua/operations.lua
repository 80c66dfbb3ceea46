-- ------------------------------------------------------------------------------------------------- operations

function operations.exchange(answer)  -- all that a bus process has to say and ask, at once
  if is_fenced(answer) then return end
  if (#ask.pub > 0 or ask.check) and ask.v ~= version() then
    answer.st = 'stale'
    return news(answer, ask.v)
  end
  local last = P .. 'last:' .. ask.p
  if tonumber(call('GET', last) or '0') >= ask.n then
    answer.st = 'done'
    return news(answer, ask.v)
  end
  if #ask.doubts > 0 then answer.doubts = known_ids(ask.doubts) end
  local young
  if #ask.pub > 0 then
    young = turn_window()
    if conflict(answer) then
      answer.st = 'conflict'
      return news(answer, ask.v)
    end
  end
  renew()
  call('SET', last, ask.n, 'PX', 86400000)
  local touched, out = {}, {got = {}, more = {}, bytes = {}, size = 0}
  settle_all(touched)
  if ask.reap then reap_dead(answer, touched) end
  for _, item in ipairs(ask.dir) do directory[item[1]](item[2], item[3], item[4], item[5]) end
  if #ask.dir > 0 then call('SPUBLISH', P .. 'wake', cjson.encode({ask.p, {}})) end
  if #ask.pub > 0 then publish(touched, young) end
  for _, item in ipairs(ask.pull) do pull(out, item[1], item[2]) end
  answer.got, answer.more, answer.bytes = out.got, out.more, out.bytes
  for _, item in ipairs(ask.pull) do touched[ask.names[item[1]]] = nil end  -- taken by the one who brought them
  wake(touched)
  news(answer, ask.v)
end

local function ripen(touched)
  for _, text in ipairs(call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, 500)) do
    call('ZREM', P .. 'due', text)
    local level, id, name = members(text)
    if level == 'i' then
      if call('HGET', P .. 'inboxes', name) == id then retire(name) end
    else
      local seq, n = span(id)
      local t = tally(name)
      t.dl = t.dl - n
      call('ZADD', back(name, level), seq, id)
      touched[name] = true
    end
  end
end

local function waits(name, level, id)  -- whether no process has it
  if call('ZSCORE', back(name, level), id) or call('ZSCORE', P .. 'due', member(level, id, name)) then return true end
  local key = queue(name, level)
  if call('EXISTS', key) == 0 or #call('XRANGE', key, id, id) == 0 then return false end
  return #call('XPENDING', key, G, id, id, 1) == 0
end

local function expire()
  for _, text in ipairs(call('ZRANGEBYSCORE', P .. 'exp', '-inf', now, 'LIMIT', 0, 500)) do
    call('ZREM', P .. 'exp', text)
    local level, id, name = members(text)
    if waits(name, level, id) then bury(name, level, id, 'EXPIRED', '') end
  end
end

function operations.tick(answer)  -- a process is alive, and does what time asks for
  if is_fenced(answer) then return end
  renew()
  local touched = {}
  ripen(touched)
  expire()
  if ask.reap then reap_dead(answer, touched) end
  tell(answer, touched)
  local next_due = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')
  local next_expiry = call('ZRANGE', P .. 'exp', 0, 0, 'WITHSCORES')
  local due = math.min(tonumber(next_due[2] or '1e15'), tonumber(next_expiry[2] or '1e15'))
  if due < 1e15 then answer.due = math.max(0, due - now) end
end

function operations.age(answer)  -- gives up what has waited since before a time (seconds)
  answer.more = false
  for _, name in ipairs(call('HKEYS', P .. 'inboxes')) do
    for level = 0, 3 do
      for _ = 1, 1000 do
        local id = first_waiting(name, level)
        local entry = id and load(name, level, id)
        if not entry or record(entry.chunk, 1).created >= ask.before then break end
        bury(name, level, id, 'EXPIRED', '')
      end
    end
  end
end

local function oldest(name, level, id, found)
  local entry = load(name, level, id)
  if not entry then return found end
  local created = record(entry.chunk, 1).created
  return found and math.min(found, created) or created
end

function operations.oldest(answer)  -- when the oldest message that is still needed was taken (seconds)
  local found
  for _, name in ipairs(call('HKEYS', P .. 'inboxes')) do
    for level = 0, 3 do
      local first = call('XRANGE', queue(name, level), '-', '+', 'COUNT', 1)
      if #first > 0 then found = oldest(name, level, first[1][1], found) end
      for _, id in ipairs(call('ZRANGE', back(name, level), 0, 0)) do found = oldest(name, level, id, found) end
    end
  end
  for _, text in ipairs(call('ZRANGE', P .. 'due', 0, 999)) do
    local level, id, name = members(text)
    if level ~= 'i' then found = oldest(name, level, id, found) end
  end
  for _, process in ipairs(call('ZRANGE', P .. 'procs', 0, -1)) do
    for _, text in ipairs(call('SMEMBERS', owned(process))) do
      local level, id, name = members(text)
      found = oldest(name, level, id, found)
    end
  end
  if found then answer.oldest = string.format('%.6f', found) end
end

function operations.stats(answer)
  answer.queues = {}
  for _, name in ipairs(ask.names) do
    if call('HEXISTS', P .. 'inboxes', name) == 1 then
      local t = tally(name)
      local found
      for level = 0, 3 do
        local id = first_waiting(name, level)
        if id then found = oldest(name, level, id, found) end
      end
      answer.queues[#answer.queues + 1] = {
        name, t.n - t.f - t.dl, t.f, t.dl, t.b, found and now / 1000 - found or 0, t.d, t.most, t.most_bytes, t.drops}
    end
  end
end

function operations.totals(answer)  -- inboxes, waiting, in flight, delayed: of a page of them; bytes of all
  local page = call('HSCAN', P .. 'inboxes', ask.cursor, 'COUNT', 500)
  local count, held, in_flight, delayed = #page[2] / 2, 0, 0, 0
  for i = 1, #page[2], 2 do
    local found = call('HMGET', info(page[2][i]), 'n', 'f', 'dl')
    held = held + tonumber(found[1] or '0')
    in_flight = in_flight + tonumber(found[2] or '0')
    delayed = delayed + tonumber(found[3] or '0')
  end
  answer.next, answer.sums = page[1], {count, held - in_flight - delayed, in_flight, delayed}
  answer.use = tonumber(call('GET', P .. 'use') or '0')
end

function operations.hurry() call('SPUBLISH', P .. 'wake', cjson.encode({ask.p, {'!'}})) end  -- someone reads

function operations.probe() end  -- whether anything could be written

local function run(_, given)
  call, arguments = redis.call, given
  P, op, ask = given[1], given[2], cjson.decode(given[3])
  time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
  tallies, used, letters, pushed, known_version, lease_ends = {}, 0, 0, {}, nil, 0
  local answer = {st = 'ok'}
  operations[op](answer)
  finish()
  local reply = answer.bytes or {}
  answer.bytes = nil
  table.insert(reply, 1, cjson.encode(answer))
  return reply
end

-- Redis refuses the first as a whole when it has no memory left. What is taken out must go on then, and whoever
-- lives must be able to say so.
redis.register_function{function_name = LIBRARY .. '_take', callback = run}
redis.register_function{function_name = LIBRARY .. '_settle', callback = run, flags = {'allow-oom'}}
