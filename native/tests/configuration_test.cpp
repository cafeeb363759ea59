#include "configuration.h"

#include <gtest/gtest.h>

#include <string>

namespace kwik {
namespace {

abi::Buffer buffer_of(std::string& text) { return {static_cast<std::uint32_t>(text.size()), reinterpret_cast<std::uint8_t*>(text.data())}; }

TEST(Configuration, Settings_OnlyWhatIsMarkedAsSet_Counts) {
    abi::Settings given{};
    given.idle_timeout_ms = 1234;
    given.peer_bidi_streams = 7;
    const TransportSettings defaults = TransportSettings::from_abi(&given);
    EXPECT_EQ(defaults.idle_timeout, 30'000'000'000u);
    EXPECT_EQ(defaults.peer_bidi_streams, 0u);
    given.is_set = 1u << abi::Settings::idle_timeout | 1u << abi::Settings::peer_bidi;
    const TransportSettings set = TransportSettings::from_abi(&given);
    EXPECT_EQ(set.idle_timeout, 1'234'000'000u);
    EXPECT_EQ(set.peer_bidi_streams, 7u);
    EXPECT_EQ(TransportSettings::from_abi(nullptr).connection_window, 16u * 1024 * 1024);
}

TEST(Configuration, Settings_ZeroAndHugeTimeouts_MeanNoneInEffect) {
    abi::Settings given{};
    given.is_set = 1u << abi::Settings::idle_timeout | 1u << abi::Settings::handshake_idle_timeout;
    EXPECT_EQ(TransportSettings::from_abi(&given).idle_timeout, 0u);
    constexpr std::uint64_t year = 365ull * 24 * 3600 * 1'000'000'000;
    EXPECT_GT(TransportSettings::from_abi(&given).handshake_timeout, year);
    given.handshake_idle_timeout_ms = UINT64_MAX;
    const std::uint64_t longest = TransportSettings::from_abi(&given).handshake_timeout;
    EXPECT_GT(longest, year);
    EXPECT_LT(longest, UINT64_MAX / 2);  // Can be added to a clock.
}

TEST(Configuration, Settings_StreamWindows_AreReadFromTheirPlaces) {
    abi::Settings given{};
    given.is_set = 1ull << abi::Settings::stream_window_bidi_local | 1ull << abi::Settings::stream_window_bidi_remote | 1ull << abi::Settings::stream_window_unidi;
    given.stream_window_bidi_local_bytes = 1;
    given.stream_window_bidi_remote_bytes = 2;
    given.stream_window_unidi_bytes = 3;
    const TransportSettings set = TransportSettings::from_abi(&given);
    EXPECT_EQ(set.stream_window_bidi_local, 1u);
    EXPECT_EQ(set.stream_window_bidi_remote, 2u);
    EXPECT_EQ(set.stream_window_unidi, 3u);
}

TEST(Configuration, AlpnList_Names_AreJoinedInWireForm) {
    std::string names[] = {"h3", "kwik"};
    const abi::Buffer buffers[] = {buffer_of(names[0]), buffer_of(names[1])};
    std::vector<std::uint8_t> list;
    EXPECT_EQ(read_alpn_list(buffers, list), abi::success);
    EXPECT_EQ(std::string(list.begin(), list.end()), "\x02h3\x04kwik");
}

TEST(Configuration, AlpnList_NothingOrABrokenName_IsRefused) {
    std::vector<std::uint8_t> list;
    EXPECT_EQ(read_alpn_list({}, list), abi::invalid_parameter);
    std::string empty, long_name(256, 'x');
    const abi::Buffer bad[] = {buffer_of(empty)}, longer[] = {buffer_of(long_name)};
    EXPECT_EQ(read_alpn_list(bad, list), abi::invalid_parameter);
    EXPECT_EQ(read_alpn_list(longer, list), abi::invalid_parameter);
}

TEST(Configuration, Credential_UnknownTypeOrEmptyStore_IsRefused) {
    auto configuration = Ref<Configuration>::adopt(new Configuration({}, {}));
    abi::CredentialConfig config{};
    config.type = 1;
    EXPECT_EQ(configuration->load_credential(config), abi::not_supported);
    config.type = abi::credential_pkcs12;
    EXPECT_EQ(configuration->load_credential(config), abi::invalid_parameter);
    const std::uint8_t byte = 0;
    const abi::CertificatePkcs12 empty{&byte, 0, nullptr};
    config.pkcs12 = &empty;
    EXPECT_EQ(configuration->load_credential(config), abi::invalid_parameter);
}

TEST(Configuration, Credential_LoadedTwice_IsRefused) {
    auto configuration = Ref<Configuration>::adopt(new Configuration({}, {}));
    abi::CredentialConfig config{};
    config.flags = 0x4015;  // As .NET's client.
    EXPECT_EQ(configuration->load_credential(config), abi::success);
    EXPECT_EQ(configuration->load_credential(config), abi::invalid_state);
}

}  // namespace
}  // namespace kwik
