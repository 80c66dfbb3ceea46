-- The state of one tenant, in one hash slot, and all that changes it. One call is one atomic step.
--
-- KEYS[1]  any key of the tenant: it says which slot. ARGV: prefix of the tenant's keys, operation, JSON, bytes.
-- Answers  JSON, bytes. docs/adr/0012 explains the keys.

local P, op, ask, blob = ARGV[1], ARGV[2], cjson.decode(ARGV[3]), ARGV[4]
local G = 'bus'         -- the consumer group of every queue; a consumer is a bus process
local NOBODY = '-'      -- the consumer that has what waits to be delivered again
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local call = redis.call

local function queue(name, level) return P .. 'q:' .. level .. ':' .. name end
local function back(name, level) return P .. 'r:' .. level .. ':' .. name end
local function info(name) return P .. 'i:' .. name end

local function score(id)  -- the place of a stream's id among others, exact up to 4,096 in a millisecond
  local ms, n = id:match('(%d+)-(%d+)')
  return string.format('%.0f', tonumber(ms) * 4096 + math.min(tonumber(n), 4095))
end

local function fields(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function facts(entry)  -- expires (ms) and whether it is best effort: see `redis/drafts.py`
  local _, expires, _, flags = struct.unpack('>ddHB', entry.m)
  return expires * 1000, flags % 2 == 1
end

local function count(name, messages, bytes)
  call('HINCRBY', info(name), 'n', messages)
  call('HINCRBY', info(name), 'b', bytes)
end

local function later(kind, ...)  -- what the archive has to write into SQL
  call('XADD', P .. 'log', '*', kind, ...)
end

local function dead_letter(name, id, reason, detail, attempts, body)
  local hex = redis.sha1hex(P .. name .. id .. now)
  local key = hex:sub(1, 8) .. '-' .. hex:sub(9, 12) .. '-' .. hex:sub(13, 16) .. '-' .. hex:sub(17, 20) .. '-' .. hex:sub(21, 32)
  local told = cjson.encode({key, name, reason, detail, attempts, tostring(now)})
  later('d', told, 'b', body)
end

local function forget(name, level, id)  -- out of its queue and all that points at it
  call('XACK', queue(name, level), G, id)
  call('ZREM', back(name, level), id)
  call('ZREM', P .. 'due', level .. '|' .. id .. '|' .. name)
  call('ZREM', P .. 'exp', level .. '|' .. id .. '|' .. name)
  return call('XDEL', queue(name, level), id)
end

local function bury(name, level, id, reason, detail, attempts)
  local found = call('XRANGE', queue(name, level), id, id)
  forget(name, level, id)
  if #found == 0 then return end
  local entry = fields(found[1][2])
  count(name, -1, -#entry.b)
  local _, once = facts(entry)
  if once then
    call('HINCRBY', info(name), 'd', 1)
  else
    dead_letter(name, id, reason, detail, attempts, entry.b)
  end
end

local function add(name, level, flat)
  local key = queue(name, level)
  if call('EXISTS', key) == 0 then call('XGROUP', 'CREATE', key, G, '0', 'MKSTREAM') end
  return call('XADD', key, '*', unpack(flat))
end

local function give_back(name, level, id, attempts, due)
  local key = queue(name, level)
  if #call('XCLAIM', key, G, NOBODY, 0, id, 'RETRYCOUNT', math.max(attempts, 0), 'JUSTID') == 0 then return end
  if due > now then
    call('ZADD', P .. 'due', due, level .. '|' .. id .. '|' .. name)
    call('HINCRBY', info(name), 'dl', 1)
  else
    call('ZADD', back(name, level), score(id), id)
  end
end

local function wake(names)
  if next(names) == nil then return end
  local list = {}
  for name in pairs(names) do list[#list + 1] = name end
  call('SPUBLISH', P .. 'wake', cjson.encode({ask.p, list}))
end

-- ------------------------------------------------------------------------------------------------ directory

local function version() return tonumber(call('GET', P .. 'ver') or '0') end

local function change(...)
  local ver = call('INCR', P .. 'ver')
  call('XADD', P .. 'changes', 'MAXLEN', '~', '4096', ver .. '-0', 'c', cjson.encode({...}))
end

local function retire(name)  -- an instance's inbox goes; what is left in it is given up
  for level = 0, 3 do
    while true do
      local found = call('XRANGE', queue(name, level), '-', '+', 'COUNT', 100)
      if #found == 0 then break end
      for _, item in ipairs(found) do bury(name, level, item[1], 'EXPIRED', 'the instance is gone', 0) end
    end
    call('UNLINK', queue(name, level), back(name, level))
  end
  call('UNLINK', info(name))
  call('HDEL', P .. 'inboxes', name)
  call('UNLINK', P .. 'subs:' .. name)
  change('drop', name)
end

local function leave(name, linger, meant)  -- what was for one connection alone goes with it
  for _, pattern in ipairs(call('HKEYS', P .. 'subs:' .. name)) do
    call('HDEL', P .. 'subs:' .. name, pattern)
    change('unsub', name, pattern)
  end
  for level = 0, 3 do
    for _, item in ipairs(call('XRANGE', queue(name, level), '-', '+', 'COUNT', 10000)) do
      local entry = fields(item[2])
      if entry.k then
        forget(name, level, item[1])
        count(name, -1, -#entry.b)
        call('HINCRBY', info(name), 'd', 1)
      end
    end
  end
  if meant and tonumber(call('HGET', info(name), 'n') or '0') <= 0 then return retire(name) end
  local value = 'left:' .. string.format('%.0f', now + linger)
  call('HSET', P .. 'inboxes', name, value)
  call('ZADD', P .. 'due', now + linger, 'i|' .. value .. '|' .. name)
  change('own', name, value)
end

local directory = {}
function directory.inbox(name)
  if call('HSETNX', P .. 'inboxes', name, '') == 1 then change('inbox', name) end
end
function directory.own(name, owner)
  call('HSET', P .. 'inboxes', name, owner)
  change('own', name, owner)
end
function directory.sub(name, pattern, filter, shared)
  call('HSET', P .. 'subs:' .. name, pattern, cjson.encode({filter, shared}))
  change('sub', name, pattern, filter, shared)
end
function directory.unsub(name, pattern)
  if call('HDEL', P .. 'subs:' .. name, pattern) == 1 then change('unsub', name, pattern) end
end
function directory.gone(name, owner, linger, meant)
  if call('HGET', P .. 'inboxes', name) == owner then leave(name, linger, meant) end
end

local function everything()
  local found = {}
  local all = call('HGETALL', P .. 'inboxes')
  for i = 1, #all, 2 do
    found[#found + 1] = {'own', all[i], all[i + 1]}
    local subs = call('HGETALL', P .. 'subs:' .. all[i])
    for j = 1, #subs, 2 do
      local sub = cjson.decode(subs[j + 1])
      found[#found + 1] = {'sub', all[i], subs[j], sub[1], sub[2]}
    end
  end
  return found
end

local function news(answer, since)  -- what changed in the directory since a version
  local ver = version()
  answer.v = ver
  if since == ver then return end
  local found = call('XRANGE', P .. 'changes', (since + 1) .. '-0', '+')
  if since < 0 or #found ~= ver - since then
    answer.all, answer.ch = true, everything()
    return
  end
  answer.ch = {}
  for _, item in ipairs(found) do answer.ch[#answer.ch + 1] = cjson.decode(item[2][2]) end
end

-- ------------------------------------------------------------------------------------------------ publishing

local function deliver(draft, meta, body, answer, touched, state)
  for _, target in ipairs(draft[8]) do
    local name = ask.names[target[1]]
    local held = state[name]
    if held.n >= ask.most or held.b + #body > ask.most_bytes then
      if target[3] == 1 or draft[7] == 1 then
        call('HINCRBY', info(name), 'd', 1)
      else
        dead_letter(name, draft[1], 'QUEUE_OVERFLOW', 'the inbox was full', 0, body)
      end
    else
      held.n, held.b = held.n + 1, held.b + #body
      held.dn, held.db = held.dn + 1, held.db + #body
      local level, id = draft[4], nil
      local flat
      if draft[6] > now or target[2] ~= '' or target[3] == 1 then
        flat = {'m', meta, 'b', body}
        if target[2] ~= '' then flat[5], flat[6] = 's', target[2] end
        if target[3] == 1 then flat[#flat + 1] = 'k'; flat[#flat + 1] = '1' end
      end
      if draft[6] > now then  -- held back: read and set aside at once, so that nobody gets it before
        level = 4
        flat[#flat + 1] = 'l'; flat[#flat + 1] = draft[4]
        id = add(name, 4, flat)
        call('ZADD', P .. 'due', draft[6], '4|' .. id .. '|' .. name)
        call('HINCRBY', info(name), 'dl', 1)
      else
        local key = held[level]
        if not key then
          key = queue(name, level)
          held[level] = key
          if call('EXISTS', key) == 0 then call('XGROUP', 'CREATE', key, G, '0', 'MKSTREAM') end
        end
        if flat then
          id = call('XADD', key, '*', unpack(flat))
        else  -- nearly all: no table to be made of it
          id = call('XADD', key, '*', 'm', meta, 'b', body)
        end
        touched[name] = true
      end
      if draft[5] > 0 then call('ZADD', P .. 'exp', draft[5], level .. '|' .. id .. '|' .. name) end
    end
  end
end

local function turn_window()
  local young = P .. 'ids'
  local turned = tonumber(call('GET', P .. 'turned') or '0')
  if now - turned >= ask.window or call('SCARD', young) >= ask.most_ids then
    call('UNLINK', P .. 'ids:old')
    if call('EXISTS', young) == 1 then call('RENAME', young, P .. 'ids:old') end
    call('SET', P .. 'turned', now, 'PX', ask.window * 3)
  end
end

local function known_ids(drafts)
  local known = {}
  for first = 1, #drafts, 1000 do
    local ids = {}
    for i = first, math.min(first + 999, #drafts) do ids[#ids + 1] = drafts[i][1] end
    local young = call('SMISMEMBER', P .. 'ids', unpack(ids))
    local old = call('SMISMEMBER', P .. 'ids:old', unpack(ids))
    for i, id in ipairs(ids) do
      if young[i] == 1 or old[i] == 1 then known[id] = true end
    end
  end
  return known
end

local function settles(settle)  -- the delivery that an answer settles; false if it is not there any more
  local name, level, id, size = ask.names[settle[1]], settle[2], settle[3], settle[4]
  if forget(name, level, id) == 0 then return false end
  count(name, -1, -size)
  return true
end

local function publish(answer, touched)
  turn_window()
  local drafts, results, history, fresh, state = ask.pub, {}, {}, {}, {}
  local known, place = known_ids(drafts), 1
  for i, draft in ipairs(drafts) do
    local meta_end = place + draft[2] - 1
    local body_end = meta_end + draft[3]
    local direct = draft[9] == 1
    local full = false
    for _, target in ipairs(draft[8]) do
      local name = ask.names[target[1]]
      local held = state[name]
      if not held then
        local found = call('HMGET', info(name), 'n', 'b')
        held = {n = tonumber(found[1] or '0'), b = tonumber(found[2] or '0'), dn = 0, db = 0}
        state[name] = held
      end
      if direct and (held.n >= ask.most or held.b + draft[3] > ask.most_bytes) then
        full = {held.n, held.b}
      end
    end
    if known[draft[1]] then
      results[i] = 1
    elseif full then
      results[i] = full
    elseif draft[10] ~= 0 and not settles(draft[10]) then
      results[i] = 2
    else
      results[i] = 0
      known[draft[1]] = true
      fresh[#fresh + 1] = draft[1]
      local meta, body = blob:sub(place, meta_end), blob:sub(meta_end + 1, body_end)
      deliver(draft, meta, body, answer, touched, state)
      if draft[7] == 0 then
        history[#history + 1] = struct.pack('>I4', #body)
        history[#history + 1] = body
      end
      if draft[11] then later('r', draft[11]) end
    end
    place = body_end + 1
  end
  for first = 1, #fresh, 1000 do call('SADD', P .. 'ids', unpack(fresh, first, math.min(first + 999, #fresh))) end
  if #fresh > 0 then call('PEXPIRE', P .. 'ids', ask.window * 2) end
  for name, held in pairs(state) do
    if held.dn > 0 then count(name, held.dn, held.db) end
  end
  if #history > 0 then later('m', table.concat(history)) end
  answer.res = results
end

-- ------------------------------------------------------------------------------------------------ deliveries

local MOST_BYTES, PATIENCE = 1048576, 16

local function hand_out(out, place, name, level, id, flat, attempts)
  local meta, body = flat[2], flat[4]  -- `m` and `b` come first
  local _, expires, _, flags = struct.unpack('>ddHB', meta)
  local entry = #flat > 4 and fields(flat) or {}
  expires = expires * 1000
  local once = flags % 2 == 1
  if expires > 0 and expires <= now then
    bury(name, level, id, 'EXPIRED', '', attempts - 1)
    return
  end
  if once then
    forget(name, level, id)
    count(name, -1, -#body)
  end
  out.got[#out.got + 1] = {place, level, id, attempts, #meta, #body, entry.s or '', entry.k and 1 or 0}
  out.bytes[#out.bytes + 1] = meta
  out.bytes[#out.bytes + 1] = body
  out.size = out.size + #body
end

local function take(out, place, level, most)
  local name = ask.names[place]
  local key, taken = queue(name, level), 0
  for _, id in ipairs(call('ZRANGE', back(name, level), 0, most - 1)) do
    local pending = call('XPENDING', key, G, id, id, 1)
    local found = call('XCLAIM', key, G, ask.p, 0, id)
    call('ZREM', back(name, level), id)
    if #found > 0 and found[1] and #pending > 0 then
      hand_out(out, place, name, level, id, found[1][2], pending[1][4] + 1)
      taken = taken + 1
    end
  end
  while taken < most and out.size < MOST_BYTES do
    local wanted = math.min(most - taken, 128)
    local found = call('XREADGROUP', 'GROUP', G, ask.p, 'COUNT', wanted, 'STREAMS', key, '>')
    if not found or #found == 0 then break end
    local items = found[1][2]
    for _, item in ipairs(items) do hand_out(out, place, name, level, item[1], item[2], 1) end
    taken = taken + #items
    if #items < wanted then break end
  end
  if taken > 0 then call('SADD', P .. 'held:' .. ask.p, level .. '|' .. name) end
  return taken
end

local function pull(out, place, most)
  local name = ask.names[place]
  local there, several = {}, 0
  for level = 0, 3 do
    there[level] = call('XLEN', queue(name, level)) > 0
    if there[level] then several = several + 1 end
  end
  if several == 0 then return end
  local left = most
  if several == 1 then
    for level = 0, 3 do
      if there[level] then left = left - take(out, place, level, left) end
    end
  else
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
  end
  if left <= 0 or out.size >= MOST_BYTES then out.more[#out.more + 1] = place end
end

-- ------------------------------------------------------------------------------------------------ settling

local function settle_all(touched)
  for _, ack in ipairs(ask.ack) do  -- inbox, level, ids, members of `exp`
    local name, level, ids = ask.names[ack[1]], ack[2], ack[3]
    local key = queue(name, level)
    for first = 1, #ids, 1000 do
      local last = math.min(first + 999, #ids)
      call('XACK', key, G, unpack(ids, first, last))
      call('XDEL', key, unpack(ids, first, last))
    end
    count(name, -#ids, -ack[4])
    for _, id in ipairs(ack[5]) do call('ZREM', P .. 'exp', level .. '|' .. id .. '|' .. name) end
  end
  for _, item in ipairs(ask.ret) do  -- inbox, level, id, attempts, due
    local name = ask.names[item[1]]
    give_back(name, item[2], item[3], item[4], item[5])
    if item[5] <= now then touched[name] = true end
  end
  for _, item in ipairs(ask.dead) do  -- inbox, level, id, reason, detail, attempts
    bury(ask.names[item[1]], item[2], item[3], item[4], item[5], item[6])
  end
end

local function drop_all()
  for _, item in ipairs(ask.drop) do  -- inbox, level, id, size: best effort, or of a connection that ended
    local name = ask.names[item[1]]
    if forget(name, item[2], item[3]) == 1 then count(name, -1, -item[4]) end
    call('HINCRBY', info(name), 'd', 1)
  end
end

local operations = {}

function operations.attach(answer)  -- a bus process begins to serve the tenant
  call('ZADD', P .. 'procs', now + ask.lease, ask.p)
  news(answer, -1)
end

function operations.exchange(answer)  -- all that a bus process has to say and ask, at once
  if not call('ZSCORE', P .. 'procs', ask.p) then answer.st = 'fenced' return end
  if (#ask.pub > 0 or ask.check) and ask.v ~= version() then
    answer.st = 'stale'
    return news(answer, ask.v)
  end
  call('ZADD', P .. 'procs', now + ask.lease, ask.p)
  local last = P .. 'last:' .. ask.p
  if tonumber(call('GET', last) or '0') >= ask.n then
    answer.st = 'done'
    return news(answer, ask.v)
  end
  call('SET', last, ask.n, 'PX', 86400000)
  local touched, out = {}, {got = {}, more = {}, bytes = {}, size = 0}
  settle_all(touched)
  drop_all()
  for _, item in ipairs(ask.dir) do directory[item[1]](item[2], item[3], item[4], item[5]) end
  if #ask.dir > 0 then call('SPUBLISH', P .. 'wake', cjson.encode({ask.p, {}})) end
  if #ask.pub > 0 then publish(answer, touched) end
  for _, item in ipairs(ask.pull) do pull(out, item[1], item[2]) end
  answer.got, answer.more = out.got, out.more
  answer.bytes = table.concat(out.bytes)
  for _, place in ipairs(ask.own) do touched[ask.names[place]] = nil end  -- taken by the one who brought them
  wake(touched)
  news(answer, ask.v)
end

local function ripen(touched)
  for _, member in ipairs(call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, 200)) do
    call('ZREM', P .. 'due', member)
    local level, id, name = member:match('^([^|]*)|([^|]*)|(.*)$')
    if level == 'i' then
      if call('HGET', P .. 'inboxes', name) == id then retire(name) end
    elseif level == '4' then
      local found = call('XRANGE', queue(name, 4), id, id)
      if #found > 0 then
        local entry = fields(found[1][2])
        local flat = {'m', entry.m, 'b', entry.b}
        if entry.s then flat[5], flat[6] = 's', entry.s end
        if entry.k then flat[#flat + 1] = 'k'; flat[#flat + 1] = '1' end
        local fresh = add(name, entry.l, flat)
        local expires = call('ZSCORE', P .. 'exp', '4|' .. id .. '|' .. name)
        if expires then call('ZADD', P .. 'exp', expires, entry.l .. '|' .. fresh .. '|' .. name) end
        forget(name, 4, id)
        call('HINCRBY', info(name), 'dl', -1)
        touched[name] = true
      end
    else
      call('ZADD', back(name, level), score(id), id)
      call('HINCRBY', info(name), 'dl', -1)
      touched[name] = true
    end
  end
end

local function expire()
  for _, member in ipairs(call('ZRANGEBYSCORE', P .. 'exp', '-inf', now, 'LIMIT', 0, 200)) do
    local level, id, name = member:match('^([^|]*)|([^|]*)|(.*)$')
    call('ZREM', P .. 'exp', member)
    local pending = call('EXISTS', queue(name, level)) == 1 and call('XPENDING', queue(name, level), G, id, id, 1) or {}
    if #pending == 0 or pending[1][2] == NOBODY then
      if call('ZREM', P .. 'due', member) == 1 then call('HINCRBY', info(name), 'dl', -1) end
      bury(name, level, id, 'EXPIRED', '', #pending > 0 and pending[1][4] or 0)
    end
  end
end

local function release(process, level, name, kept, lost, touched)
  local key, from = queue(name, level), '-'
  if call('EXISTS', key) == 0 then return end
  while true do
    local found = call('XPENDING', key, G, from, '+', 500, process)
    for _, item in ipairs(found) do
      local id, attempts = item[1], item[4]
      if not kept[level .. '|' .. id .. '|' .. name] then
        if not lost then attempts = attempts - 1 end
        if attempts >= ask.most_attempts then
          bury(name, level, id, 'MAX_ATTEMPTS', 'the bus process that delivered it ended', attempts)
        else
          give_back(name, level, id, attempts, 0)
          touched[name] = true
        end
      end
      from = '(' .. id
    end
    if #found < 500 then return end
  end
end

local function reap(process, touched)  -- fenced from this moment: what it still says is refused
  call('ZREM', P .. 'procs', process)
  for _, member in ipairs(call('SMEMBERS', P .. 'held:' .. process)) do
    local level, name = member:match('^([^|]*)|(.*)$')
    release(process, level, name, {}, true, touched)
    if call('EXISTS', queue(name, level)) == 1 then call('XGROUP', 'DELCONSUMER', queue(name, level), G, process) end
  end
  call('UNLINK', P .. 'held:' .. process, P .. 'last:' .. process)
  local all = call('HGETALL', P .. 'inboxes')
  for i = 1, #all, 2 do
    if all[i + 1]:sub(1, #process + 5) == 'own:' .. process .. ':' then leave(all[i], ask.linger, false) end
  end
end

function operations.tick(answer)  -- a process is alive, and does what time asks for
  if not call('ZSCORE', P .. 'procs', ask.p) then answer.st = 'fenced' return end
  call('ZADD', P .. 'procs', now + ask.lease, ask.p)
  local touched = {}
  ripen(touched)
  expire()
  if ask.reap then
    answer.reaped = {}
    for _, process in ipairs(call('ZRANGEBYSCORE', P .. 'procs', '-inf', now)) do
      reap(process, touched)
      answer.reaped[#answer.reaped + 1] = process
    end
  end
  answer.woken = {}
  for name in pairs(touched) do answer.woken[#answer.woken + 1] = name end
  wake(touched)
  local next_due = call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')
  if #next_due > 0 then answer.due = math.max(0, tonumber(next_due[2]) - now) end
  news(answer, ask.v)
end

function operations.resync(answer)  -- deliveries whose answer was lost on the way go back
  if not call('ZSCORE', P .. 'procs', ask.p) then answer.st = 'fenced' return end
  local kept, touched = {}, {}
  for _, member in ipairs(ask.known) do kept[member] = true end
  for _, member in ipairs(call('SMEMBERS', P .. 'held:' .. ask.p)) do
    local level, name = member:match('^([^|]*)|(.*)$')
    release(ask.p, level, name, kept, false, touched)
  end
  answer.woken = {}
  for name in pairs(touched) do answer.woken[#answer.woken + 1] = name end
  wake(touched)
  news(answer, ask.v)
end

function operations.detach(answer)  -- a process ends in order
  ask.linger = ask.linger or 0
  local touched = {}
  for _, member in ipairs(call('SMEMBERS', P .. 'held:' .. ask.p)) do
    local level, name = member:match('^([^|]*)|(.*)$')
    release(ask.p, level, name, {}, false, touched)
  end
  reap(ask.p, touched)
  wake(touched)
end

function operations.stats(answer)
  answer.queues = {}
  for _, name in ipairs(call('HKEYS', P .. 'inboxes')) do
    local agent = name:match('^[^/]*')
    if ask.agent == '' or agent == ask.agent or name == ask.agent then
      local held = call('HMGET', info(name), 'b', 'd', 'dl')
      local waiting, flying, oldest = 0, 0, now
      for level = 0, 3 do
        local key = queue(name, level)
        if call('EXISTS', key) == 1 then
          local pending = call('XPENDING', key, G)
          local returned = call('ZCARD', back(name, level))
          waiting = waiting + call('XLEN', key) - pending[1] + returned
          for _, consumer in ipairs(pending[4] or {}) do
            if consumer[1] ~= NOBODY then flying = flying + tonumber(consumer[2]) end
          end
          local first = call('ZRANGE', back(name, level), 0, 0)[1]
          if not first then
            local group = fields(call('XINFO', 'GROUPS', key)[1])
            local unread = call('XRANGE', key, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)
            first = #unread > 0 and unread[1][1]
          end
          if first then oldest = math.min(oldest, tonumber(first:match('%d+'))) end
        end
      end
      answer.queues[#answer.queues + 1] = {
        name, waiting, flying, tonumber(held[3] or '0'), tonumber(held[1] or '0'), now - oldest, tonumber(held[2] or '0')}
    end
  end
end

local answer = {st = 'ok'}
operations[op](answer)
local bytes = answer.bytes or ''
answer.bytes = nil
return {cjson.encode(answer), bytes}
