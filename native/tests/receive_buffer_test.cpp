#include "receive_buffer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace kwik {
namespace {

std::span<const std::uint8_t> bytes_of(const std::string& text) { return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}; }

std::string peeked(ReceiveBuffer& buffer, std::size_t pieces) {
    std::vector<abi::Buffer> out(pieces);
    const std::size_t count = buffer.peek(out);
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text.append(reinterpret_cast<char*>(out[i].data), out[i].length);
    return text;
}

TEST(ReceiveBuffer, Consume_PartOfAPiece_ShowsTheRest) {
    ReceiveBuffer buffer;
    ASSERT_TRUE(buffer.append(bytes_of("abc")));
    ASSERT_TRUE(buffer.append(bytes_of("defg")));
    buffer.consume(2);
    EXPECT_EQ(peeked(buffer, 4), "cdefg");
    EXPECT_EQ(buffer.offset(), 2u);
    EXPECT_EQ(buffer.size(), 5u);
}

TEST(ReceiveBuffer, Clear_Contents_CountsThemAsPassed) {
    ReceiveBuffer buffer;
    ASSERT_TRUE(buffer.append(bytes_of(std::string(100'000, 'x'))));
    buffer.consume(1);
    EXPECT_EQ(buffer.clear(), 99'999u);
    EXPECT_EQ(buffer.offset(), 100'000u);
    EXPECT_EQ(peeked(buffer, 4), "");
}

TEST(ReceiveBuffer, RandomAppendsAndTakes_KeepEveryByteInOrder) {
    std::mt19937 random(11);
    ReceiveBuffer buffer;
    std::string written, read;
    while (read.size() < 3'000'000) {
        if (random() % 2 == 0) {
            std::string part(random() % 3000, '\0');
            for (char& c : part) c = static_cast<char>(random());
            ASSERT_TRUE(buffer.append(bytes_of(part)));
            written += part;
        } else {
            const std::string shown = peeked(buffer, 1 + random() % 4);
            const std::size_t take = shown.empty() ? 0 : random() % (shown.size() + 1);
            read += shown.substr(0, take);
            buffer.consume(take);
        }
        ASSERT_EQ(buffer.size(), written.size() - read.size());
        if (written.size() - read.size() > 1'000'000) {
            const std::string shown = peeked(buffer, 64);
            read += shown;
            buffer.consume(shown.size());
        }
    }
    EXPECT_TRUE(written.starts_with(read));
}

}  // namespace
}  // namespace kwik
