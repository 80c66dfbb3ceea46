-- The counters of one tenant. Each call is one atomic step; all keys begin with KEYS[1], which has the tenant as its
-- hash tag. Times are milliseconds of the server's clock. See counters.py for what the words mean.
--
-- <prefix>leases      sorted set: reservation -> when it is given back unless it is renewed
-- <prefix>levels      sorted set: counter -> when it may be forgotten
-- <prefix>r:<id>      hash: c the claims as JSON, s the second; x when it was given back already
-- <prefix>c:<key>     hash, a sum: u used, h held, cap; or a rate: second -> amount
local prefix, operation = KEYS[1], ARGV[1]
local RATE_SECONDS, HELD_RETRY, IDLE = 60, 2000, 6 * 3600000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local second = math.floor(now / 1000)
local leases, levels = prefix .. 'leases', prefix .. 'levels'

local function text(number) return string.format('%.0f', number + 0) end -- + 0: not "-0"
local function counter(claim) return prefix .. 'c:' .. claim.key end

local function remembers(claim) return not claim.rate and claim.unit ~= 'calls' end

-- What of a claim is over, or of a rate forgotten, when nobody asks for it any more.
local function lifetime(claim)
  if claim.rate then return (RATE_SECONDS + 2) * 1000 end
  if claim['end'] then return math.max(1000, math.min(IDLE, claim['end'] - now + 60000)) end
  return IDLE
end

local function rate(key)
  local flat, buckets, sum = redis.call('HGETALL', key), {}, 0
  for i = 1, #flat, 2 do
    local when, amount = tonumber(flat[i]), tonumber(flat[i + 1])
    if when < second - RATE_SECONDS then
      redis.call('HDEL', key, flat[i])
    else
      buckets[#buckets + 1] = {when, amount}
      sum = sum + amount
    end
  end
  table.sort(buckets, function(a, b) return a[1] < b[1] end)
  return buckets, sum
end

-- Gives back or settles what is held: `spent` has what remains used, by unit.
local function release(claims, at, spent)
  for _, claim in ipairs(claims) do
    local key, used = counter(claim), spent[claim.unit] or 0
    if claim.rate then
      if redis.call('HEXISTS', key, at) == 1 then redis.call('HINCRBY', key, at, text(used - claim.amount)) end
    elseif redis.call('HEXISTS', key, 'h') == 1 then
      redis.call('HINCRBY', key, 'h', text(-claim.amount))
      redis.call('HINCRBY', key, 'u', text(used))
    end
  end
end

local function reap()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', text(now), 'LIMIT', 0, 100)) do
    local key = prefix .. 'r:' .. id
    local held = redis.call('HMGET', key, 'c', 's')
    if held[1] then
      release(cjson.decode(held[1]), held[2], {})
      redis.call('HSET', key, 'x', 1)
    end
    redis.call('ZREM', leases, id)
  end
end

local function refusal(index, claim)
  local key = counter(claim)
  if claim.rate then
    local buckets, sum = rate(key)
    if sum + claim.amount <= claim.limit then return nil end
    local wait, over = -1, sum + claim.amount - claim.limit
    if claim.amount <= claim.limit then
      wait = 0
      for _, bucket in ipairs(buckets) do
        over = over - bucket[2]
        if over <= 0 then
          wait = (bucket[1] + RATE_SECONDS + 1) * 1000 - now
          break
        end
      end
    end
    return {index, sum, 0, claim.limit, wait}
  end
  local found = redis.call('HMGET', key, 'u', 'h', 'cap')
  local used, held, cap = tonumber(found[1]) or 0, tonumber(found[2]) or 0, tonumber(found[3])
  local limit = claim.limit
  if claim.left then
    local left = used + held + claim.left
    if not cap or left < cap then
      cap = left
      redis.call('HSET', key, 'cap', text(cap))
    end
    if not limit or cap < limit then limit = cap end
  end
  if used + held + claim.amount <= limit then return nil end
  local wait = -1
  if claim.amount <= limit then
    if used + claim.amount <= limit then wait = HELD_RETRY
    elseif claim['end'] then wait = claim['end'] - now end
  end
  return {index, used, held, limit, wait}
end

local function reserve(id, lease, claims, seeds)
  if redis.call('EXISTS', prefix .. 'r:' .. id) == 1 then return cjson.encode({now = now}) end -- asked twice
  for _, claim in ipairs(claims) do
    if claim['end'] and (now < claim.begin or now >= claim['end']) then
      return cjson.encode({now = now, outside = true})
    end
  end
  local unknown, refused = {}, {}
  for index, claim in ipairs(claims) do
    local key = counter(claim)
    if remembers(claim) and redis.call('HEXISTS', key, 'u') == 0 and not seeds[claim.key] then
      unknown[#unknown + 1] = index - 1
    end
  end
  if #unknown > 0 then return cjson.encode({now = now, unknown = unknown}) end
  for index, claim in ipairs(claims) do
    local key = counter(claim)
    if not claim.rate then
      redis.call('HSETNX', key, 'u', text(remembers(claim) and seeds[claim.key] or 0))
      redis.call('HSETNX', key, 'h', 0)
      redis.call('PEXPIRE', key, text(lifetime(claim)))
    end
    refused[#refused + 1] = refusal(index - 1, claim)
  end
  if #refused > 0 then return cjson.encode({now = now, refused = refused}) end
  for _, claim in ipairs(claims) do
    local key = counter(claim)
    redis.call('HINCRBY', key, claim.rate and second or 'h', text(claim.amount))
    redis.call('PEXPIRE', key, text(lifetime(claim)))
    redis.call('ZADD', levels, text(now + lifetime(claim)), claim.key)
  end
  local key = prefix .. 'r:' .. id
  redis.call('HSET', key, 'c', ARGV[4], 's', text(second))
  redis.call('PEXPIRE', key, text(IDLE))
  redis.call('ZADD', leases, text(now + lease), id)
  redis.call('PEXPIRE', leases, text(IDLE))
  redis.call('PEXPIRE', levels, text(IDLE))
  return cjson.encode({now = now})
end

local function settle(id, spent)
  local key = prefix .. 'r:' .. id
  local held = redis.call('HMGET', key, 'c', 's', 'x')
  if held[3] then -- it was taken for dead and given back: what it used is used all the same
    for _, claim in ipairs(cjson.decode(held[1])) do
      if remembers(claim) and redis.call('HEXISTS', counter(claim), 'u') == 1 then
        redis.call('HINCRBY', counter(claim), 'u', text(spent[claim.unit] or 0))
      end
    end
  elseif held[1] then
    release(cjson.decode(held[1]), held[2], spent)
  end
  redis.call('DEL', key)
  redis.call('ZREM', leases, id)
  return cjson.encode({now = now})
end

local function read_levels()
  redis.call('ZREMRANGEBYSCORE', levels, '-inf', text(now))
  local found = {}
  for _, name in ipairs(redis.call('ZRANGE', levels, 0, 999)) do
    local key = prefix .. 'c:' .. name
    local sum = redis.call('HMGET', key, 'u', 'h')
    if sum[1] then
      found[#found + 1] = {name, tonumber(sum[1]), tonumber(sum[2]) or 0, 0}
    else
      local buckets, total = rate(key)
      if #buckets > 0 then found[#found + 1] = {name, total, 0, (buckets[#buckets][1] + RATE_SECONDS + 1) * 1000} end
    end
  end
  return cjson.encode({now = now, levels = found})
end

-- The calls go on; with `touch`, what they hold is not to be forgotten as idle either.
local function renew(lease, touch, ids)
  for _, id in ipairs(ids) do
    local key = prefix .. 'r:' .. id
    if redis.call('ZADD', leases, 'XX', 'CH', text(now + lease), id) == 1 and touch then
      redis.call('PEXPIRE', key, text(IDLE))
      for _, claim in ipairs(cjson.decode(redis.call('HGET', key, 'c') or '[]')) do
        if not claim.rate then redis.call('PEXPIRE', counter(claim), text(lifetime(claim))) end
      end
    end
  end
  redis.call('PEXPIRE', leases, text(IDLE))
  return cjson.encode({now = now})
end

reap()
if operation == 'reserve' then
  return reserve(ARGV[2], tonumber(ARGV[3]), cjson.decode(ARGV[4]), cjson.decode(ARGV[5]))
elseif operation == 'settle' then
  return settle(ARGV[2], cjson.decode(ARGV[3]))
elseif operation == 'renew' then
  return renew(tonumber(ARGV[2]), ARGV[3] == '1', cjson.decode(ARGV[4]))
end
return read_levels()
