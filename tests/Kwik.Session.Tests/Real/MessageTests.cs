using System.Text;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>
/// A service that answers questions while it also delivers a large report, all of it messages on one stream, over real QUIC.
/// </summary>
public sealed class MessageTests
{
    private const int Questions = 50;
    private static readonly byte[] Report = PushOrders.RandomBytes(4 * 1024 * 1024);

    [Fact]
    public async Task Questions_AskedWhileAReportIsSent_AreAnsweredAndBothArriveWhole()
    {
        await using var servers = await LoopbackServers.StartAsync(null, [], async (session, _) =>
        {
            await using KwikStream stream = await session.AcceptStream();
            var channel = new MessageChannel(stream);
            Task report = channel.SendMessageAsync(Report, MessagePriority.Bulk).AsTask();
            while (await channel.ReceiveMessageAsync() is { } question)
            {
                await channel.SendMessageAsync(Answer(question), MessagePriority.High);
            }

            await report;
            await channel.CompleteAsync();
            await stream.WritesClosed;
            await session.Closed;
        });

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.OpenStreamSync().WithinAsync();
            var channel = new MessageChannel(stream);
            byte[][] questions = [.. Enumerable.Range(0, Questions).Select(i => Encoding.UTF8.GetBytes($"What is {i}? {new string('.', i * 5000)}"))];
            Task asking = AskAsync(channel, questions);
            var answers = new List<byte[]>();
            bool reported = false;
            while (await channel.ReceiveMessageAsync().WithinAsync() is { } message)
            {
                if (message.Length == Report.Length)
                {
                    Assert.Equal(Report, message);
                    reported = true;
                }
                else
                {
                    answers.Add(message);
                }
            }

            await asking.WithinAsync();
            Assert.True(reported);
            Assert.Equal(questions.Select(Answer), answers);
        }

        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    private static async Task AskAsync(MessageChannel channel, byte[][] questions)
    {
        using var cancellation = new CancellationTokenSource();
        await cancellation.CancelAsync();
        foreach (byte[] question in questions)
        {
            await channel.SendMessageAsync(question);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(
                () => channel.SendMessageAsync(question, cancellationToken: cancellation.Token).AsTask());
        }

        await channel.CompleteAsync();
    }

    private static byte[] Answer(byte[] question) => [.. "It is "u8, .. question];
}
