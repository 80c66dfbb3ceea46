-- ------------------------------------------------------------------------------------------------- directory

local function version()
  known_version = known_version or tonumber(call('GET', P .. 'ver') or '0')
  return known_version
end

local function change(...)
  local ver = call('INCR', P .. 'ver')
  known_version = ver
  call('XADD', P .. 'changes', 'MAXLEN', '~', '4096', ver .. '-0', 'c', cjson.encode({...}))
end

local function chunks_of(name, level)  -- ids of all that waits or is held back, in the stream and aside
  local found = call('HKEYS', aside(name, level))
  for _, item in ipairs(call('XRANGE', queue(name, level), '-', '+')) do found[#found + 1] = item[1] end
  return found
end

local function retire(name)  -- an instance's inbox goes; what is left in it is given up
  for level = 0, 3 do
    for _, id in ipairs(chunks_of(name, level)) do bury(name, level, id, 'EXPIRED', 'the instance is gone') end
    call('UNLINK', queue(name, level), back(name, level), aside(name, level))
  end
  call('UNLINK', info(name), parts(name))
  tally(name).gone = true
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
    for _, id in ipairs(chunks_of(name, level)) do
      local entry = load(name, level, id)
      if entry.kind:sub(-1) == 'k' then bury(name, level, id, '', '') end
    end
  end
  if meant and tally(name).n <= 0 then return retire(name) end
  local value = 'left:' .. string.format('%.0f', now + linger)
  call('HSET', P .. 'inboxes', name, value)
  call('ZADD', P .. 'due', now + linger, member('i', value, name))
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
function directory.keep(name, policy)  -- messages, bytes, overflow
  call('HSET', info(name), 'pol', cjson.encode(policy))
  keep_to(tally(name), policy)
  change('keep', name, policy)
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
    local policy = call('HGET', info(all[i]), 'pol')
    if policy then found[#found + 1] = {'keep', all[i], cjson.decode(policy)} end
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
