-- -------------------------------------------------------------------------------------------------- processes

local ENDED = 'the bus process that had it ended'

local function noted(chunk, found)  -- a record with one attempt more
  local history = chunk:sub(found.history, found.body - 1)
  local attempt = cjson.encode({found.attempts + 1, '', now / 1000, 'CONNECTION_LOST', ENDED})
  history = history == '' and '[' .. attempt .. ']' or history:sub(1, -2) .. ',' .. attempt .. ']'
  local head = struct.pack(HEAD, found.size, found.attempts + 1, found.order, found.created, found.expires, #history)
  return head .. history .. chunk:sub(found.body, found.stop - 1)
end

local function with_attempts(name, entry, n, part)  -- the chunk anew, and what of it is done with
  local at, pieces = 1, {}
  for i = 1, n do
    local found = record(entry.chunk, at)
    at = found.stop
    if part:byte(i) == 50 then
      pieces[i] = noted(entry.chunk, found)
      if found.attempts + 1 >= ask.most_attempts then
        give_up(name, {kind = entry.kind, chunk = pieces[i]}, record(pieces[i], 1), 'MAX_ATTEMPTS', ENDED)
        part = mark(part, n, i)
      end
    else
      pieces[i] = entry.chunk:sub(found.at, found.stop - 1)
    end
  end
  return table.concat(pieces), (part:gsub('2', '0'))
end

local function take_back(name, level, id)  -- a chunk that a process has; what an agent was given was an attempt
  local entry, part = load(name, level, id), call('HGET', parts(name), id)
  if not entry then return end
  local _, n = span(id)
  local t = tally(name)
  t.f = t.f - unsettled(part, n)
  if part and part:find('2', 1, true) then entry.chunk, part = with_attempts(name, entry, n, part) end
  call('XACK', queue(name, level), G, id)
  call('XDEL', queue(name, level), id)
  if unsettled(part, n) == 0 then
    call('HDEL', aside(name, level), id)
    call('HDEL', parts(name), id)
    return
  end
  if part then call('HSET', parts(name), id, part) end
  set_aside(name, level, id, entry.kind, entry.pattern, entry.chunk, 0)
end

local function release(process, kept, touched)
  for _, text in ipairs(call('SMEMBERS', owned(process))) do
    if not kept[text] then
      local level, id, name = members(text)
      call('SREM', owned(process), text)
      take_back(name, level, id)
      touched[name] = true
    end
  end
  for _, text in ipairs(call('SMEMBERS', P .. 'held:' .. process)) do
    local level, name = text:match('^([^|]*)|(.*)$')
    local key, from = queue(name, level), '-'
    while call('EXISTS', key) == 1 do
      local found = call('XPENDING', key, G, from, '+', 500, process)
      for _, item in ipairs(found) do
        from = '(' .. item[1]
        if not kept[member(level, item[1], name)] then
          take_back(name, level, item[1])
          touched[name] = true
        end
      end
      if #found < 500 then break end
    end
  end
end

local function base(process) return process:match('^(.*)%-%d+$') end

local function reap(process, touched)  -- fenced from this moment: what it still says is refused
  call('ZREM', P .. 'procs', process)
  call('SREM', P .. 'guarded', process)
  release(process, {}, touched)
  for _, text in ipairs(call('SMEMBERS', P .. 'held:' .. process)) do
    local level, name = text:match('^([^|]*)|(.*)$')
    if call('EXISTS', queue(name, level)) == 1 then call('XGROUP', 'DELCONSUMER', queue(name, level), G, process) end
  end
  call('UNLINK', P .. 'held:' .. process, P .. 'last:' .. process, owned(process))
  local all = call('HGETALL', P .. 'inboxes')
  for i = 1, #all, 2 do
    if all[i + 1]:sub(1, #process + 5) == 'own:' .. process .. ':' then leave(all[i], ask.linger, false) end
  end
end

local function reap_dead(answer, touched)  -- those whose lease ran out, and those whose connection is gone
  local dead = call('ZRANGEBYSCORE', P .. 'procs', '-inf', now)
  for _, process in ipairs(call('SMEMBERS', P .. 'guarded')) do
    if process ~= ask.p and call('PUBSUB', 'SHARDNUMSUB', P .. 'alive:' .. base(process))[2] == 0 then
      dead[#dead + 1] = process
    end
  end
  answer.reaped = answer.reaped or {}
  for _, process in ipairs(dead) do
    if process ~= ask.p and call('ZSCORE', P .. 'procs', process) then
      reap(process, touched)
      answer.reaped[#answer.reaped + 1] = process
    elseif process ~= ask.p then
      call('SREM', P .. 'guarded', process)
    end
  end
end

local function is_fenced(answer)
  lease_ends = tonumber(call('ZSCORE', P .. 'procs', ask.p))
  if lease_ends then return false end
  answer.st = 'fenced'
  return true
end

local function renew()  -- a lease of which a tenth has passed
  if lease_ends - now < ask.lease * 0.9 then call('ZADD', P .. 'procs', now + ask.lease, ask.p) end
  if ask.guard then call('SADD', P .. 'guarded', ask.p) end
end

local function tell(answer, touched)
  answer.woken = {}
  for name in pairs(touched) do answer.woken[#answer.woken + 1] = name end
  wake(touched)
  news(answer, ask.v)
end

function operations.attach(answer)  -- a bus process begins to serve the tenant
  local touched = {}
  renew()
  if ask.reap then reap_dead(answer, touched) end
  ask.v = -1
  tell(answer, touched)
end

function operations.resync(answer)  -- deliveries whose answer was lost on the way go back
  if is_fenced(answer) then return end
  local kept, touched = {}, {}
  for _, text in ipairs(ask.known) do kept[text] = true end
  release(ask.p, kept, touched)
  tell(answer, touched)
end

function operations.detach(answer)  -- a process ends in order
  local touched = {}
  reap(ask.p, touched)
  wake(touched)
end
