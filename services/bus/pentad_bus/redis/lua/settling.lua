-- --------------------------------------------------------------------------------------------------- settling

local function settle(ack)  -- inbox, level, ids, ids aside, {id, part}s, not in flight any more, not held, bytes, expiring
  local name, level = ask.names[ack[1]], ack[2]
  local key, t = queue(name, level), tally(name)
  t.f = t.f - ack[6]
  hold(name, -ack[7], -ack[8])
  in_pieces(ack[3], 1000, function(...)
    call('XACK', key, G, ...)
    call('XDEL', key, ...)
  end)
  in_pieces(ack[4], 1000, function(...) call('HDEL', aside(name, level), ...) end)
  for _, id in ipairs(ack[4]) do call('SREM', owned(ask.p), member(level, id, name)) end
  for _, item in ipairs(ack[5]) do call('HSET', parts(name), item[1], item[2]) end
  if ack[10] == 1 then
    in_pieces(ack[3], 1000, function(...) call('HDEL', parts(name), ...) end)
    in_pieces(ack[4], 1000, function(...) call('HDEL', parts(name), ...) end)
  end
  for _, id in ipairs(ack[9]) do call('ZREM', P .. 'exp', member(level, id, name)) end
end

local function settle_all(touched)
  for _, ack in ipairs(ask.ack) do settle(ack) end
  for _, item in ipairs(ask.ret) do  -- inbox, level, id, bytes, due, kind, pattern, expires
    local name, level, id = ask.names[item[1]], item[2], item[3]
    set_aside(name, level, id, item[6], item[7], blob(item[4]), item[5])
    if item[8] > 0 then call('ZADD', P .. 'exp', item[8], member(level, id, name)) end
    if item[5] <= now then touched[name] = true end
  end
  for _, item in ipairs(ask.dead) do later('d', item[2], 'b', blob(item[1])) end
  for _, item in ipairs(ask.drop) do
    local t = tally(ask.names[item[1]])
    t.d = t.d + item[2]
  end
end
