#include "send_buffer.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>

namespace kwik {
namespace {

using Posted = SendBuffer::Posted;
constexpr std::uint64_t budget = 100'000;

abi::Buffer buffer_of(std::string& text) { return {static_cast<std::uint32_t>(text.size()), reinterpret_cast<std::uint8_t*>(text.data())}; }

Posted post(SendBuffer& buffer, std::string& text, bool fin = false, void* context = nullptr) {
    const abi::Buffer b = buffer_of(text);
    return buffer.post({&b, 1}, fin, context, budget);
}

void take_completed(SendBuffer& buffer, std::vector<void*>& out) {
    bool canceled = false;
    for (void* context; buffer.take_completed(context, canceled);) out.push_back(context);
}

void refill(SendBuffer& buffer, std::vector<void*>& completed) {
    buffer.refill(budget);
    take_completed(buffer, completed);
}

// Takes up to `max` bytes as ngtcp2 would, and says whether FIN went with them.
bool take(SendBuffer& buffer, std::size_t max, std::string& out) {
    ngtcp2_vec pieces[4];
    const SendBuffer::Next next = buffer.peek(pieces, 4);
    std::size_t taken = 0, offered = 0;
    for (std::size_t i = 0; i < next.count; ++i) {
        offered += pieces[i].len;
        const std::size_t part = std::min(pieces[i].len, max - taken);
        out.append(reinterpret_cast<char*>(pieces[i].base), part);
        taken += part;
    }
    const bool fin = next.fin && taken == offered;
    buffer.sent(taken, fin);
    return fin;
}

TEST(SendBuffer, Post_BelowTheBudget_IsCompleteAndTheCallersMemoryIsFree) {
    SendBuffer buffer;
    for (const std::size_t size : {1u, 5000u, 50'000u}) {
        std::string text(size, 'a');
        EXPECT_EQ(post(buffer, text), Posted::complete);
        text.assign(size, 'b');
    }
    std::string out;
    while (out.size() < 55'001) take(buffer, 1200, out);
    EXPECT_EQ(out, std::string(55'001, 'a'));
}

TEST(SendBuffer, Post_AboveTheBudget_IsCopiedAsAcknowledgementsMakeRoomAndCompleteAtTheEnd) {
    SendBuffer buffer;
    std::string text(1'000'000, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 >> 3);
    int context;
    ASSERT_EQ(post(buffer, text, true, &context), Posted::outstanding);
    std::string out;
    std::vector<void*> completed;
    bool fin = false;
    for (int rounds = 0; !fin && rounds < 10'000; ++rounds) {
        EXPECT_TRUE(completed.empty() || !buffer.has_outstanding());
        refill(buffer, completed);
        EXPECT_LE(buffer.held_bytes(), budget + BufferPool::chunk_size);
        fin = take(buffer, 1400, out);
        buffer.acknowledged(out.size());
    }
    EXPECT_TRUE(fin);
    EXPECT_TRUE(out == text);
    EXPECT_EQ(completed, std::vector<void*>{&context});
    EXPECT_EQ(buffer.held_bytes(), 0u);
}

// An application that sends 64 KiB with a few bytes of its own before them waits for no second acknowledgement.
TEST(SendBuffer, Refill_OfASendOf64KiBAndItsHead_CompletesItAtOnce) {
    SendBuffer buffer;
    std::string before(budget, 'a'), text(64 * 1024 + 64, 'b'), out;
    int context;
    ASSERT_EQ(post(buffer, before), Posted::complete);
    ASSERT_EQ(post(buffer, text, false, &context), Posted::outstanding);
    std::vector<void*> completed;
    refill(buffer, completed);
    EXPECT_TRUE(completed.empty());
    take(buffer, budget, out);
    buffer.acknowledged(1400);
    refill(buffer, completed);
    EXPECT_EQ(completed, std::vector<void*>{&context});
}

TEST(SendBuffer, Post_BehindAnOutstandingOne_KeepsTheOrder) {
    SendBuffer buffer;
    std::string large(600'000, 'L'), small = "small";
    int first, second;
    ASSERT_EQ(post(buffer, large, false, &first), Posted::outstanding);
    ASSERT_EQ(post(buffer, small, false, &second), Posted::outstanding);
    std::string out;
    std::vector<void*> completed;
    while (out.size() < large.size() + small.size()) {
        refill(buffer, completed);
        take(buffer, 50'000, out);
        buffer.acknowledged(out.size());
    }
    EXPECT_TRUE(out == large + small);
    EXPECT_EQ(completed, (std::vector<void*>{&first, &second}));
}

TEST(SendBuffer, Finish_AfterPosts_PutsFinBehindThem) {
    SendBuffer buffer;
    std::string text = "abc", out;
    ASSERT_EQ(post(buffer, text), Posted::complete);
    EXPECT_FALSE(take(buffer, 3, out));
    EXPECT_FALSE(buffer.only_fin_left());
    EXPECT_TRUE(buffer.finish());
    EXPECT_FALSE(buffer.finish());
    EXPECT_EQ(post(buffer, text), Posted::closed);
    EXPECT_TRUE(buffer.only_fin_left());
    EXPECT_TRUE(take(buffer, 3, out));
    EXPECT_TRUE(buffer.fin_sent());
    EXPECT_FALSE(buffer.only_fin_left());
    EXPECT_EQ(out, "abc");
}

TEST(SendBuffer, Finish_BeforeTheLastBytes_LeavesMoreThanFin) {
    SendBuffer buffer;
    std::string text = "abc", out;
    ASSERT_EQ(post(buffer, text, true), Posted::complete);
    EXPECT_FALSE(buffer.only_fin_left());
    EXPECT_TRUE(take(buffer, 3, out));
    EXPECT_FALSE(buffer.only_fin_left());
}

TEST(SendBuffer, Cancel_OutstandingSends_GivesTheirContextsBack) {
    SendBuffer buffer;
    std::string large(600'000, 'L');
    int context;
    ASSERT_EQ(post(buffer, large, false, &context), Posted::outstanding);
    std::vector<void*> contexts;
    buffer.cancel();
    take_completed(buffer, contexts);
    EXPECT_EQ(contexts, std::vector<void*>{&context});
    EXPECT_EQ(post(buffer, large), Posted::closed);
}

TEST(SendBuffer, RandomUse_FromTwoThreads_DeliversEveryByteInOrder) {
    SendBuffer buffer;
    constexpr int sends = 3000;
    std::atomic<int> finished{0};
    std::thread application([&] {
        std::mt19937 random(3);
        unsigned char value = 0;
        for (int i = 0; i < sends; ++i) {
            std::string text(random() % (i % 50 == 0 ? 400'000 : 9000), '\0');
            for (char& c : text) c = static_cast<char>(value++);
            const int before = finished.load();
            const Posted posted = post(buffer, text, i + 1 == sends, nullptr);
            ASSERT_TRUE(posted == Posted::complete || posted == Posted::outstanding);
            while (posted == Posted::outstanding && finished.load() == before) std::this_thread::yield();
        }
    });
    std::mt19937 random(5);
    std::string out;
    std::uint64_t total = 0;
    unsigned char value = 0;
    std::vector<void*> completed;
    for (bool fin = false; !fin;) {
        completed.clear();
        refill(buffer, completed);
        finished += static_cast<int>(completed.size());
        out.clear();
        fin = take(buffer, random() % 20'000, out);
        for (const char c : out) ASSERT_EQ(c, static_cast<char>(value++));
        total += out.size();
        if (random() % 3 == 0) buffer.acknowledged(total);
        else buffer.acknowledged(total - std::min<std::uint64_t>(total, random() % 50'000));
    }
    application.join();
}

}  // namespace
}  // namespace kwik
