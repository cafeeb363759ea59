using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Messages between a client and a primary, on virtual time.</summary>
public sealed class MessageTests
{
    [Theory]
    [SimulationSeeds]
    public void Messages_OfSeveralSendersOnBothSides_ArriveInOrderWithinTheirPriority(int seed) => Simulation.Run(seed, async world =>
    {
        List<byte[]>[] up = Messages(world.Random);
        List<byte[]>[] down = Messages(world.Random);
        int abandoned = world.Random.Next(1, 900_000);
        var received = new List<byte[]>();
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.AcceptStream();
            var channel = new MessageChannel(stream);
            Task sending = SendAllAsync(channel, down);
            received = await ReceiveAllAsync(channel);
            await sending;
            await session.Closed;
        });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.OpenStreamSync();
            var channel = new MessageChannel(stream);
            await AbandonAsync(channel, new byte[abandoned]);
            Task sending = SendAllAsync(channel, up);
            Check(down, await ReceiveAllAsync(channel));
            await sending;
        }

        await deployment.DisposeAsync();
        Check(up, [.. received.Where(message => message.Length != abandoned)]);
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    [Theory]
    [InlineData(10, null, 2000)]
    [InlineData(null, 65_536, 7000)]
    [InlineData(10, 65_536, 8800)]
    public void Rate_OfAChannel_IsKept(int? messages, int? bytes, int milliseconds) => Simulation.Run(1, async world =>
    {
        var options = new MessageOptions { Rate = new() { MessagesPerSecond = messages, BytesPerSecond = bytes } };
        await using var deployment = new SimulatedDeployment(world);
        int received = 0;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.AcceptStream();
            received = (await ReceiveAllAsync(new MessageChannel(stream))).Count;
            await session.Closed;
        });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.OpenStreamSync();
            var channel = new MessageChannel(stream, options);
            TimeProvider time = deployment.ClientHost.Time;
            long start = time.GetTimestamp();
            // 30 messages, and eight chunks of 64 KiB in all.
            Task[] sending = [.. Enumerable.Range(0, 30).Select(i => channel.SendMessageAsync(RandomBytes(i, i == 0 ? (8 * 65_536) - 2900 : 100)).AsTask())];
            foreach (Task send in sending)
            {
                await send;
            }

            Assert.InRange((time.GetElapsedTime(start) - TimeSpan.FromMilliseconds(milliseconds)).TotalMilliseconds, -20, 200);
            await channel.CompleteAsync();
            await stream.WritesClosed;
        }

        await deployment.DisposeAsync();
        Assert.Equal(30, received);
    });

    [Theory]
    [InlineData(10, null, 5000)]
    [InlineData(null, 65_536, 11_000)]
    public void Rate_OfASession_IsSharedByItsChannels(int? messages, int? bytes, int milliseconds) => Simulation.Run(1, async world =>
    {
        var rate = new MessageRate { MessagesPerSecond = messages, BytesPerSecond = bytes };
        await using var deployment = new SimulatedDeployment(world);
        int received = 0;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            Task[] receiving = [.. Enumerable.Range(0, 3).Select(_ => ReceiveAsync(session))];
            foreach (Task one in receiving)
            {
                await one;
            }

            await session.Closed;
        });

        await using (ClientSession session = await deployment.ConnectAsync(options => options with { MessageRate = rate }))
        {
            TimeProvider time = deployment.ClientHost.Time;
            long start = time.GetTimestamp();
            // 20 messages, and four chunks of 64 KiB, on each of three streams.
            Task[] sending = [.. Enumerable.Range(0, 3).Select(_ => SendAsync(session))];
            foreach (Task one in sending)
            {
                await one;
            }

            Assert.InRange((time.GetElapsedTime(start) - TimeSpan.FromMilliseconds(milliseconds)).TotalMilliseconds, -20, 400);
        }

        await deployment.DisposeAsync();
        Assert.Equal(60, received);

        async Task ReceiveAsync(PrimarySession session)
        {
            await using KwikStream stream = await session.AcceptStream();
            int count = (await ReceiveAllAsync(new MessageChannel(stream))).Count;
            received += count;
        }

        static async Task SendAsync(ClientSession session)
        {
            await using KwikStream stream = await session.OpenStreamSync();
            var channel = new MessageChannel(stream);
            for (int i = 0; i < 20; i++)
            {
                await channel.SendMessageAsync(RandomBytes(i, i == 0 ? (4 * 65_536) - 1900 : 100));
            }

            await channel.CompleteAsync();
            await stream.WritesClosed;
        }
    });

    private static List<byte[]>[] Messages(Random random)
    {
        List<byte[]>[] messages = [[], [], []];
        for (int i = random.Next(1, 20); i > 0; i--)
        {
            int priority = random.Next(3);
            var message = new byte[random.Next(2) == 0 ? random.Next(1, 2000) : random.Next(1, 300_000)];
            if (random.Next(2) == 0)
            {
                random.NextBytes(message);
            }

            message[0] = (byte)priority;
            messages[priority].Add(message);
        }

        return messages;
    }

    private static async Task SendAllAsync(MessageChannel channel, List<byte[]>[] messages)
    {
        Task[] sending =
            [.. messages.SelectMany((list, priority) => list.Select(message => channel.SendMessageAsync(message, (MessagePriority)priority).AsTask()))];
        await channel.CompleteAsync();
        foreach (Task send in sending)
        {
            await send;
        }
    }

    /// <summary>Arrives whole or not at all; the channel goes on.</summary>
    private static async Task AbandonAsync(MessageChannel channel, byte[] message)
    {
        using var cancellation = new CancellationTokenSource();
        new Random(message.Length).NextBytes(message);
        Task sending = channel.SendMessageAsync(message, MessagePriority.Normal, cancellation.Token).AsTask();
        cancellation.Cancel();
        try
        {
            await sending;
        }
        catch (OperationCanceledException e) when (e.CancellationToken == cancellation.Token)
        {
            Array.Clear(message);
        }
    }

    private static async Task<List<byte[]>> ReceiveAllAsync(MessageChannel channel)
    {
        var all = new List<byte[]>();
        while (await channel.ReceiveMessageAsync() is { } message)
        {
            all.Add(message);
        }

        return all;
    }

    private static void Check(List<byte[]>[] sent, List<byte[]> received)
    {
        for (int priority = 0; priority < 3; priority++)
        {
            Assert.Equal(sent[priority], received.Where(message => message[0] == priority));
        }
    }

    private static byte[] RandomBytes(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
