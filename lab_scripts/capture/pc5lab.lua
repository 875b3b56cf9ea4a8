-- Dissectors for what stock Wireshark does not know of an LTE sidelink (PC5):
--   prose.pc5s    PC5 signalling, TS 24.334 12.5.1 and the pc5lab `identity` profile
--   prose.slpdcp  PDCP PDUs of sidelink radio bearers, TS 36.323 6.2.10
--   prose.pc5d    PC5_DISCOVERY messages, TS 24.334 11.2.5
-- They take over where a frame of link type 252 (exported PDU) names them. I_MESSAGEs and IP packets inside go to
-- the built-in mikey and ip dissectors. SPDX-License-Identifier: BSD-3-Clause

local pc5s = Proto("prose.pc5s", "ProSe PC5 signalling")
local slpdcp = Proto("prose.slpdcp", "PDCP of a sidelink radio bearer")
local pc5d = Proto("prose.pc5d", "PC5_DISCOVERY")

local mikey = Dissector.get("mikey")
local ip = Dissector.get("ip")

-- PC5 signalling ----------------------------------------------------------------------------------------------------

local MESSAGES = {
  [1] = "Direct Connection Request", [2] = "Direct Connection Accept", [3] = "Direct Connection Reject",
  [4] = "Keepalive", [5] = "Keepalive Ack", [6] = "Release", [7] = "Release Accept",
  [12] = "Direct Security Mode Command", [13] = "Direct Security Mode Complete",
  [14] = "Direct Security Mode Reject", [15] = "Rekeying Request", [16] = "Rekeying Response",
  [17] = "Rekeying Trigger", [0xF0] = "Relay frame",
}
local CAUSES = {
  [1] = "Not allowed", [2] = "Authentication failure", [3] = "Layer-2 ID conflict", [4] = "Lack of resources",
  [5] = "IP version mismatch", [6] = "Other", [7] = "Algorithms mismatch", [0x80] = "Time or key period",
  [0x81] = "Mutual authentication policy",
}
local REASONS = { [1] = "No longer needed", [2] = "No longer allowed", [3] = "No longer available" }
local IP_CONFIGS = {
  [1] = "DHCPv4 server", [2] = "IPv6 router", [3] = "DHCPv4 server and IPv6 router", [4] = "Not supported",
}
local USER_INFO_TYPES = { [1] = "Upper layer" }
local KDFS = { [0] = "fc33303", [1] = "fc33536" }
local PURPOSES = { [0] = "One-to-one", [1] = "Group" }
local MUTUAL = { [0] = "Not wanted", [1] = "Wanted", [2] = "Required" }
local MODES = { [0] = "Group identity", [1] = "Per member" }

-- IEI -> name, and length of the value where the IE has no length octet
local IES = {
  [0x01] = { "User Info" }, [0x03] = { "Link-local IPv6 address", 16 }, [0x07] = { "Maximum inactivity period", 4 },
  [0x08] = { "PRUK ID", 8 }, [0x09] = { "AUTS", 14 }, [0x0A] = { "RAND", 16 }, [0x0F] = { "LSB of KD ID", 2 },
  [0x10] = { "MSB of KD ID", 2 }, [0x11] = { "KD ID", 4 }, [0x12] = { "KD freshness", 16 },
  [0x15] = { "Re-auth flag", 1 }, [0x16] = { "Signature", 129 }, [0x17] = { "Encrypted payload" },
  [0x19] = { "Relay service code", 3 }, [0x40] = { "Target User Info" }, [0x41] = { "Link L2 ID" },
  [0x42] = { "Profile and flags" }, [0x43] = { "Request hash" }, [0x44] = { "Key confirmation" },
  [0x46] = { "Group info" }, [0x47] = { "Nonce_2" }, [0x48] = { "Chosen algorithms" },
  [0x49] = { "KD-sess ID LSB" }, [0x78] = { "I_MESSAGE" },
}
local TWO_OCTET_LENGTH = { [0x17] = true, [0x78] = true }

local f = {
  type = ProtoField.uint8("prose.pc5s.type", "Message type", base.DEC, MESSAGES),
  seq = ProtoField.uint16("prose.pc5s.seq", "Sequence number"),
  user_info_type = ProtoField.uint8("prose.pc5s.user_info.type", "User Info type", base.DEC, USER_INFO_TYPES),
  user_info = ProtoField.string("prose.pc5s.user_info", "User Info"),
  target = ProtoField.string("prose.pc5s.target_user_info", "Target User Info"),
  ip_config = ProtoField.uint8("prose.pc5s.ip_address_config", "IP address config", base.DEC, IP_CONFIGS),
  inactivity = ProtoField.uint32("prose.pc5s.max_inactivity_period", "Maximum inactivity period (s)"),
  nonce_1 = ProtoField.bytes("prose.pc5s.nonce_1", "Nonce_1"),
  nonce_2 = ProtoField.bytes("prose.pc5s.nonce_2", "Nonce_2"),
  eea = ProtoField.uint8("prose.pc5s.capabilities.eea", "Offered EEA0..7 (from bit 8)", base.HEX),
  eia = ProtoField.uint8("prose.pc5s.capabilities.eia", "Offered EIA0..7 (from bit 8)", base.HEX),
  msb = ProtoField.uint8("prose.pc5s.kd_sess_id.msb", "KD-sess ID MSB", base.HEX),
  lsb = ProtoField.uint8("prose.pc5s.kd_sess_id.lsb", "KD-sess ID LSB", base.HEX),
  cause = ProtoField.uint8("prose.pc5s.cause", "Cause", base.DEC, CAUSES),
  reason = ProtoField.uint8("prose.pc5s.reason", "Release reason", base.DEC, REASONS),
  counter = ProtoField.uint32("prose.pc5s.counter", "Keepalive counter"),
  iei = ProtoField.uint8("prose.pc5s.iei", "IEI", base.HEX),
  length = ProtoField.uint16("prose.pc5s.length", "Length"),
  link_local = ProtoField.ipv6("prose.pc5s.link_local", "Link-local IPv6 address"),
  l2_id = ProtoField.uint24("prose.pc5s.link_l2_id", "Link L2 ID", base.HEX),
  kdf = ProtoField.uint8("prose.pc5s.kdf", "Key derivation", base.DEC, KDFS, 0xF0),
  profile = ProtoField.uint8("prose.pc5s.profile", "Profile version", base.DEC, nil, 0x0F),
  purpose = ProtoField.uint8("prose.pc5s.purpose", "Purpose", base.DEC, PURPOSES, 0x0C),
  mutual = ProtoField.uint8("prose.pc5s.mutual", "Mutual authentication", base.DEC, MUTUAL, 0x03),
  request_hash = ProtoField.bytes("prose.pc5s.request_hash", "Request hash"),
  confirmation = ProtoField.bytes("prose.pc5s.key_confirmation", "Key confirmation"),
  chosen_eea = ProtoField.uint8("prose.pc5s.eea", "Chosen EEA", base.DEC, nil, 0x70),
  chosen_eia = ProtoField.uint8("prose.pc5s.eia", "Chosen EIA", base.DEC, nil, 0x07),
  group_l2_id = ProtoField.uint24("prose.pc5s.group.l2_id", "Group L2 ID", base.HEX),
  pgk_id = ProtoField.uint8("prose.pc5s.group.pgk_id", "PGK ID", base.HEX),
  epoch = ProtoField.uint32("prose.pc5s.group.epoch", "Epoch"),
  expiry = ProtoField.uint32("prose.pc5s.group.expiry", "Expiry (NTP s)"),
  group_eea = ProtoField.uint8("prose.pc5s.group.eea", "EEA"),
  mode = ProtoField.uint8("prose.pc5s.group.mode", "Mode", base.DEC, MODES),
  group_identity = ProtoField.string("prose.pc5s.group.identity", "Group identity"),
  hop_limit = ProtoField.uint8("prose.pc5s.relay.hop_limit", "Hop limit"),
  path_id = ProtoField.uint32("prose.pc5s.relay.path_id", "Path ID", base.HEX),
  origin = ProtoField.uint24("prose.pc5s.relay.origin", "Origin L2 ID", base.HEX),
  destination = ProtoField.uint24("prose.pc5s.relay.destination", "Destination L2 ID", base.HEX),
  value = ProtoField.bytes("prose.pc5s.value", "Value"),
}
for _, field in pairs(f) do table.insert(pc5s.fields, field) end
local cut_short = ProtoExpert.new("prose.pc5s.cut_short", "Message is cut short", expert.group.MALFORMED,
                                  expert.severity.ERROR)
pc5s.experts = { cut_short }

local function user_info_into(field)
  return function(tree, value)
    tree:add(f.user_info_type, value(0, 1))
    tree:add(field, value(1))
    return value(1):string()
  end
end

local function plainly(field)
  return function(tree, value) tree:add(field, value) end
end

-- IEI -> how the value goes into the tree; what it returns stands on the IE's line
local VALUES = {
  [0x01] = user_info_into(f.user_info),
  [0x03] = plainly(f.link_local),
  [0x40] = user_info_into(f.target),
  [0x41] = plainly(f.l2_id),
  [0x42] = function(tree, value)
    tree:add(f.kdf, value(0, 1))
    tree:add(f.profile, value(0, 1))
    tree:add(f.purpose, value(1, 1))
    tree:add(f.mutual, value(1, 1))
  end,
  [0x43] = plainly(f.request_hash),
  [0x44] = plainly(f.confirmation),
  [0x46] = function(tree, value)
    tree:add(f.group_l2_id, value(0, 3))
    tree:add(f.pgk_id, value(3, 1))
    tree:add(f.epoch, value(4, 4))
    tree:add(f.expiry, value(8, 4))
    tree:add(f.group_eea, value(12, 1))
    tree:add(f.mode, value(13, 1))
    tree:add(f.group_identity, value(16))
    return value(16):string()
  end,
  [0x47] = plainly(f.nonce_2),
  [0x48] = function(tree, value)
    tree:add(f.chosen_eea, value)
    tree:add(f.chosen_eia, value)
  end,
  [0x49] = plainly(f.lsb),
}

-- Reads fields one after the other; stops the dissection where the octets end.
local function cursor_of(tvb, tree, start)
  local cursor = { at = start }
  function cursor.take(length)
    if cursor.at + length > tvb:len() then
      tree:add_proto_expert_info(cut_short)
      error({ cut_short = true })
    end
    local range = tvb(cursor.at, length)
    cursor.at = cursor.at + length
    return range
  end
  function cursor.field(field, length) tree:add(field, cursor.take(length)) end
  function cursor.left() return tvb:len() - cursor.at end
  return cursor
end

local function dissect_ie(cursor, tvb, pinfo, tree, seen)
  local start = cursor.at
  local iei = cursor.take(1)
  local known = IES[iei:uint()] or { string.format("Unknown IE 0x%02x", iei:uint()) }
  local length, length_octets = known[2], nil
  if not length then
    length_octets = cursor.take(TWO_OCTET_LENGTH[iei:uint()] and 2 or 1)
    length = length_octets:uint()
  end
  local value = length > 0 and cursor.take(length) or nil
  local branch = tree:add(pc5s, tvb(start, cursor.at - start), known[1])
  branch:add(f.iei, iei)
  if length_octets then branch:add(f.length, length_octets) end
  if not value then return end
  if iei:uint() == 0x78 then
    branch:append_text(string.format(" (%d octets)", length))
    seen.i_message = length
    mikey:call(value:tvb(), pinfo, branch)
    return
  end
  local text = (VALUES[iei:uint()] or plainly(f.value))(branch, value)
  if text then branch:append_text(": " .. text) end
  if iei:uint() == 0x01 then seen.user = text end
  if iei:uint() == 0x40 then seen.target = text end
  if iei:uint() == 0x44 and seen.name == MESSAGES[4] then seen.name = "Confirm (Keepalive with key confirmation)" end
end

local function capabilities(cursor)
  cursor.field(f.eea, 1)
  cursor.field(f.eia, 1)
end

-- Message type -> its mandatory fields
local BODIES = {
  [1] = function(cursor, tree, seen)
    local length = cursor.take(1)
    tree:add(f.length, length)
    local value = cursor.take(math.max(length:uint(), 2))
    seen.user = VALUES[0x01](tree, value)
    cursor.field(f.ip_config, 1)
    cursor.field(f.inactivity, 4)
    cursor.field(f.nonce_1, 16)
    capabilities(cursor)
    cursor.field(f.msb, 1)
  end,
  [2] = function(cursor) cursor.field(f.ip_config, 1) end,
  [3] = function(cursor) cursor.field(f.cause, 1) end,
  [4] = function(cursor) cursor.field(f.counter, 4) end,
  [5] = function(cursor) cursor.field(f.counter, 4) end,
  [6] = function(cursor) cursor.field(f.reason, 1) end,
  [12] = function(cursor, tree)
    capabilities(cursor)
    cursor.field(f.nonce_2, 16)
    VALUES[0x48](tree, cursor.take(1))
    cursor.field(f.lsb, 1)
  end,
  [14] = function(cursor) cursor.field(f.cause, 1) end,
  [15] = function(cursor)
    capabilities(cursor)
    cursor.field(f.nonce_1, 16)
    cursor.field(f.msb, 1)
  end,
}

local function dissect_relay_frame(cursor, tvb, pinfo, tree)
  cursor.field(f.hop_limit, 1)
  cursor.field(f.path_id, 4)
  cursor.field(f.origin, 3)
  cursor.field(f.destination, 3)
  local length = cursor.take(2)
  tree:add(f.length, length)
  pc5s.dissector(cursor.take(length:uint()):tvb(), pinfo, tree)
end

local function dissect_message(tvb, pinfo, tree, seen)
  local cursor = cursor_of(tvb, tree, 0)
  local kind = cursor.take(1)
  tree:add(f.type, kind)
  seen.name = MESSAGES[kind:uint()] or string.format("PC5-S message type %d", kind:uint())
  tree:append_text(", " .. seen.name)
  cursor.field(f.seq, 2)
  if kind:uint() == 0xF0 then return dissect_relay_frame(cursor, tvb, pinfo, tree) end
  local body = BODIES[kind:uint()]
  if body then body(cursor, tree, seen) end
  while cursor.left() > 0 do dissect_ie(cursor, tvb, pinfo, tree, seen) end
end

local function in_words(seen)
  local text = seen.name or "PC5-S message, cut short"
  if seen.user then text = text .. " " .. seen.user end
  if seen.target then text = text .. " > " .. seen.target end
  if seen.i_message then text = text .. string.format(", I_MESSAGE %d octets", seen.i_message) end
  return text
end

function pc5s.dissector(tvb, pinfo, root)
  local seen = {}
  local ok, problem = pcall(dissect_message, tvb, pinfo, root:add(pc5s, tvb()), seen)
  if not ok and not (type(problem) == "table" and problem.cut_short) then error(problem) end
  pinfo.cols.protocol = "PC5-S"
  pinfo.cols.info = in_words(seen)
  return tvb:len()
end

-- PDCP of sidelink radio bearers -------------------------------------------------------------------------------------

local SDU_TYPES = { [0] = "IP", [1] = "ARP", [2] = "PC5-S", [3] = "Non-IP" }
local p = {
  sdu_type = ProtoField.uint8("prose.slpdcp.sdu_type", "SDU type", base.DEC, SDU_TYPES, 0xE0),
  pgk_index = ProtoField.uint8("prose.slpdcp.pgk_index", "PGK index", base.DEC, nil, 0x1F),
  kd_sess_id = ProtoField.uint16("prose.slpdcp.kd_sess_id", "KD-sess ID", base.HEX),
  ptk_id = ProtoField.uint16("prose.slpdcp.ptk_id", "PTK identity", base.HEX),
  sn = ProtoField.uint16("prose.slpdcp.sn", "PDCP SN"),
  data = ProtoField.bytes("prose.slpdcp.data", "Data"),
  mac_i = ProtoField.uint32("prose.slpdcp.mac_i", "MAC-I", base.HEX),
}
for _, field in pairs(p) do table.insert(slpdcp.fields, field) end

local function dissect_sdu(kind, sdu, pinfo, tree, root)
  if kind == 0 then
    ip:call(sdu:tvb(), pinfo, root)
  elseif kind == 2 then
    pc5s.dissector(sdu:tvb(), pinfo, root)
  else
    tree:add(p.data, sdu)
  end
end

function slpdcp.dissector(tvb, pinfo, root)
  local HEADER, MAC_I = 5, 4
  if tvb:len() < HEADER then return 0 end
  local tree = root:add(slpdcp, tvb())
  local first, id = tvb(0, 1):uint(), tvb(1, 2):uint()
  local kind, to_group = bit.rshift(first, 5), bit.band(first, 0x1F) ~= 0
  local kind_name = SDU_TYPES[kind] or "reserved SDU type"
  pinfo.cols.protocol = "SL-PDCP"
  tree:add(p.sdu_type, tvb(0, 1))
  tree:add(p.pgk_index, tvb(0, 1))
  tree:add(to_group and p.ptk_id or p.kd_sess_id, tvb(1, 2))
  tree:add(p.sn, tvb(3, 2))
  pinfo.cols.info = string.format("%s, %s %04x, SN %d, %d octets", kind_name, to_group and "PTK" or "KD-sess ID", id,
                                  tvb(3, 2):uint(), tvb:len())
  local left = tvb:len() - HEADER
  if to_group or id ~= 0 then
    local mac_i = (not to_group and left >= MAC_I) and MAC_I or 0
    if left > mac_i then tree:add(p.data, tvb(HEADER, left - mac_i)) end
    if mac_i > 0 then tree:add(p.mac_i, tvb(tvb:len() - mac_i, mac_i)) end
  elseif left > 0 then
    dissect_sdu(kind, tvb(HEADER), pinfo, tree, root)
  end
  return tvb:len()
end

-- PC5_DISCOVERY --------------------------------------------------------------------------------------------------------

local TYPES = { [1] = "Open", [2] = "Restricted" }
local CONTENTS = {
  [0] = "Announcement or response", [1] = "Query", [4] = "Relay announcement or response",
  [5] = "Relay solicitation", [6] = "Group member announcement or response", [7] = "Group member solicitation",
  [8] = "Relay additional information",
}
local MODELS = { [1] = "A", [2] = "B" }
local d = {
  type = ProtoField.uint8("prose.pc5d.type", "Discovery type", base.DEC, TYPES, 0xC0),
  content = ProtoField.uint8("prose.pc5d.content", "Content type", base.DEC, CONTENTS, 0x3C),
  model = ProtoField.uint8("prose.pc5d.model", "Discovery model", base.DEC, MODELS, 0x03),
  code = ProtoField.bytes("prose.pc5d.code", "ProSe code"),
  code_on_air = ProtoField.bytes("prose.pc5d.code_on_air", "Restricted code as on the air (scrambled under DUSK)"),
  service = ProtoField.uint24("prose.pc5d.relay_service_code", "Relay service code", base.HEX),
  group = ProtoField.uint24("prose.pc5d.discovery_group_id", "Discovery group ID", base.HEX),
  user = ProtoField.bytes("prose.pc5d.user_info_id", "User info ID"),
  target = ProtoField.bytes("prose.pc5d.target_user_info_id", "Target user info ID"),
  ue = ProtoField.uint24("prose.pc5d.prose_ue_id", "ProSe UE ID", base.HEX),
  status = ProtoField.uint8("prose.pc5d.status", "Status indicator", base.HEX),
  mic = ProtoField.uint32("prose.pc5d.mic", "MIC", base.HEX),
  mic_on_air = ProtoField.uint32("prose.pc5d.mic_on_air", "MIC as on the air (scrambled under DUSK)", base.HEX),
  counter = ProtoField.uint8("prose.pc5d.counter_lsb", "UTC-based counter LSB", base.HEX),
}
for _, field in pairs(d) do table.insert(pc5d.fields, field) end

-- Content type -> fields of the body with their octets; other contents are one code
local DISCOVERY_BODIES = {
  [4] = { { d.service, 3 }, { d.user, 6 }, { d.ue, 3 }, { d.status, 1 } },
  [5] = { { d.service, 3 }, { d.user, 6 }, { d.ue, 3 } },
  [6] = { { d.group, 3 }, { d.user, 6 }, { d.ue, 3 } },
  [7] = { { d.group, 3 }, { d.user, 6 }, { d.target, 6 }, { d.ue, 3 } },
}
local CODE, RESTRICTED_CODE = { { d.code, 23 } }, { { d.code_on_air, 23 } }

function pc5d.dissector(tvb, pinfo, root)
  if tvb:len() ~= 29 then return 0 end
  local tree = root:add(pc5d, tvb())
  local first = tvb(0, 1)
  tree:add(d.type, first)
  tree:add(d.content, first)
  tree:add(d.model, first)
  local content, at = first:bitfield(2, 4), 1
  local scrambled = first:bitfield(0, 2) == 2 and content < 2
  for _, field in ipairs(DISCOVERY_BODIES[content] or (scrambled and RESTRICTED_CODE or CODE)) do
    tree:add(field[1], tvb(at, field[2]))
    at = at + field[2]
  end
  tree:add(scrambled and d.mic_on_air or d.mic, tvb(24, 4))
  tree:add(d.counter, tvb(28, 1))
  pinfo.cols.protocol = "PC5-D"
  pinfo.cols.info = string.format("%s: %s, model %s%s", TYPES[first:bitfield(0, 2)] or "Reserved",
                                  CONTENTS[content] or "reserved", MODELS[first:bitfield(6, 2)] or "?",
                                  scrambled and ", scrambled" or "")
  return tvb:len()
end
