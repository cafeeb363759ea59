using System.Buffers.Binary;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>
/// Random messages of random senders, some of them cancelled. The model: what was sent with one priority is received in that
/// order, whole, once; of what was cancelled, either the whole or nothing.
/// </summary>
public sealed class MessageModelTests
{
    private const int Senders = 4;

    [Fact]
    public async Task Messages_OfRandomSenders_ArriveWholeOnceAndInOrderWithinTheirPriority()
    {
        for (int seed = 0; seed < 40; seed++)
        {
            await RunAsync(seed, cancelling: false);
        }
    }

    [Fact]
    public async Task Messages_OfRandomSendersThatCancel_ArriveWholeOrNotAtAll()
    {
        for (int seed = 100; seed < 140; seed++)
        {
            await RunAsync(seed, cancelling: true);
        }
    }

    private static async Task RunAsync(int seed, bool cancelling)
    {
        var random = new Random(seed);
        var options = new MessageOptions { MaxMessageSize = 700_000, MaxIncompleteBytes = 2_100_000, MaxIncompleteMessages = 3 };
        await using var pair = new MessagePair(options, window: random.Next(1000, 300_000), pending: random.Next(1, 4) * 64 * 1024);
        var gate = new Lock();
        List<byte[]>[] sent = [[], [], []];
        var cancelled = new HashSet<(byte Priority, int Number)>();
        Task<List<byte[]>> receiving = pair.ReceiveAllAsync();
        Task[] sending = [.. Enumerable.Range(0, Senders).Select(_ => SendAllAsync(random.Next()))];
        await Task.WhenAll(sending).WithinAsync();
        await pair.Client.CompleteAsync().WithinAsync();
        List<byte[]> received = await receiving;

        for (byte priority = 0; priority < 3; priority++)
        {
            IEnumerable<byte[]> mine = received.Where(message => message[0] == priority);
            var arrived = mine.Select(Number).ToHashSet();
            byte priorityOfThis = priority;
            IEnumerable<byte[]> expected = sent[priority]
                .Where(message => arrived.Contains(Number(message)) || !cancelled.Contains((priorityOfThis, Number(message))));
            Assert.True(expected.SequenceEqual(mine, Same), $"Seed {seed}, priority {priority}: sent {Show(expected)}, received {Show(mine)}.");
        }

        Assert.True(cancelling || received.Count == sent.Sum(messages => messages.Count));

        async Task SendAllAsync(int senderSeed)
        {
            var own = new Random(senderSeed);
            var pending = new List<Task>();
            for (int i = 0; i < 8; i++)
            {
                byte priority = (byte)own.Next(3);
                byte[] message = Content(own, priority);
                using var cancellation = new CancellationTokenSource();
                Task send;
                int number;
                lock (gate)
                {
                    // Under the lock, so that the model knows who came first.
                    number = sent[priority].Count;
                    BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(1), number);
                    sent[priority].Add((byte[])message.Clone());
                    send = pair.Client.SendMessageAsync(message, (MessagePriority)priority, cancellation.Token).AsTask();
                }

                switch (own.Next(3))
                {
                    case 0 when cancelling:
                        await Task.Yield();
                        await cancellation.CancelAsync();
                        if (await Record.ExceptionAsync(() => send.WithinAsync()) is { } e)
                        {
                            Assert.IsAssignableFrom<OperationCanceledException>(e);
                            Array.Clear(message);
                            lock (gate)
                            {
                                cancelled.Add((priority, number));
                            }
                        }

                        break;
                    case 1:
                        await send.WithinAsync();
                        break;
                    default:
                        pending.Add(send);
                        break;
                }
            }

            await Task.WhenAll(pending).WithinAsync();
        }
    }

    private static byte[] Content(Random random, byte priority)
    {
        int length = random.Next(4) switch { 0 => 5, 1 => random.Next(5, 2000), 2 => random.Next(5, 70_000), _ => random.Next(5, 700_000) };
        var message = new byte[length];
        if (random.Next(2) == 0)
        {
            random.NextBytes(message);
        }

        message[0] = priority;
        return message;
    }

    private static EqualityComparer<byte[]> Same => EqualityComparer<byte[]>.Create((a, b) => a.AsSpan().SequenceEqual(b));

    private static int Number(byte[] message) => BinaryPrimitives.ReadInt32BigEndian(message.AsSpan(1));

    private static string Show(IEnumerable<byte[]> messages) =>
        string.Join(", ", messages.Select(message => $"{Number(message)} ({message.Length} bytes)"));
}
