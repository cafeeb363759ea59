using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Readers that stop hold up their own streams, and nothing else.</summary>
public class BackPressureTests
{
    private const int MiB = 1024 * 1024;

    [Fact]
    public void ReadersOfManyWrittenStreams_ThatStop_HoldTheSessionsLimitAndKeepItAlive() => Simulation.Run(1, async world =>
    {
        const int count = 100;
        byte[] content = Bytes(1, MiB);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await Task.WhenAll(Enumerable.Range(0, count).Select(_ => WriteAsync(session, content)));
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync(options => options with { MaxPendingBytes = 2 * MiB });
        List<KwikStream> streams = await AcceptAsync(session, count);
        // Longer than a path lives without a sign of life.
        await world.Delay(TimeSpan.FromSeconds(30));

        Assert.InRange(session.PendingBytes, 2 * MiB, 2 * MiB + (count * PendingBudget.Guaranteed));
        Assert.All(
            await Task.WhenAll(streams.Select(stream => stream.ReadToEndAsync())),
            received => Assert.Equal(content, received));
        Assert.Equal(0, session.PendingBytes);
    });

    [Theory]
    [SimulationSeeds]
    public void ReadersOfOfferedStreams_ThatStop_HoldTheSessionsLimitAndLaterGetEverything(int seed) => Simulation.Run(seed, async world =>
    {
        const int count = 12;
        var content = MemoryContent.Random(seed, 3 * MiB);
        await using var deployment = new SimulatedDeployment(world);
        await StartOffersAsync(deployment, content, count);

        await using ClientSession session = await deployment.ConnectAsync(options => options with { MaxPendingBytes = 8 * MiB });
        List<KwikStream> streams = await AcceptAsync(session, count);
        await world.Delay(TimeSpan.FromSeconds(5));

        Assert.InRange(session.PendingBytes, 7 * MiB, 8 * MiB + (count * PendingBudget.Guaranteed));
        Assert.All(
            await Task.WhenAll(streams.Select(stream => stream.ReadToEndAsync())),
            received => Assert.True(content.Is(received)));
        Assert.Equal(0, session.PendingBytes);
    });

    [Theory]
    [SimulationSeeds]
    public void ReaderThatStops_WithTheWholeSessionsLimit_TheOtherRunsOn(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 6 * MiB);
        await using var deployment = new SimulatedDeployment(world);
        await StartOffersAsync(deployment, content, 2);

        await using ClientSession session = await deployment.ConnectAsync(options => options with { MaxPendingBytes = 4 * MiB });
        await using KwikStream stopped = await session.AcceptStream();
        await stopped.FillAsync(new byte[1000]);
        await world.Delay(TimeSpan.FromSeconds(5));
        await using KwikStream other = await session.AcceptStream();
        Assert.True(content.Is(await other.ReadToEndAsync()));
        Assert.InRange(session.PendingBytes, 1, 4 * MiB);
    });

    [Fact]
    public void WriteFarAhead_OfAReaderThatTakesItsTime_IsNotLost() => Simulation.Run(1, async world =>
    {
        byte[] content = Bytes(1, 300_000);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.WriteAtAsync(200_000, content.AsMemory(200_000));
            await stream.WriteAtAsync(100_000, content.AsMemory(100_000, 100_000));
            await stream.WriteAsync(content.AsMemory(0, 100_000));
            stream.CompleteWrites(content.Length);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new() { MaxPendingBytes = 64 * 1024 },
        });
        await using KwikStream stream = await session.AcceptStream();
        await world.Delay(TimeSpan.FromMinutes(1));
        Assert.Equal(content, await stream.ReadToEndAsync());
    });

    [Fact]
    public void WriteThatContinuesAfterALongPause_IsNobodysFault() => Simulation.Run(1, async world =>
    {
        byte[] content = Bytes(1, 300_000);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            for (int offset = 0; offset < content.Length; offset += 100_000)
            {
                await stream.WriteAtAsync(offset, content.AsMemory(offset, 100_000));
                await world.Delay(TimeSpan.FromMinutes(1));
            }

            stream.CompleteWrites();
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.Equal(content, await stream.ReadToEndAsync());
        while (session.Events.TryRead(out SessionEvent? news))
        {
            Assert.False(news is FaultTreated or RuleBroken or RangeLost, $"{news}");
        }
    });

    /// <summary>
    /// Ranges of several streams, dealt out to servers at random, pushed all at once through few Internal streams and small
    /// windows, to a client that reads one stream after the other: whatever waits for whatever, everything arrives.
    /// </summary>
    [Theory]
    [SimulationSeeds]
    public void PushedRanges_InAnyArrangementOfSourcesAndWindows_AllArrive(int seed) => Simulation.Run(seed, async world =>
    {
        var random = new Random(seed);
        byte[][] contents = [.. Enumerable.Range(0, random.Next(1, 4)).Select(i => Bytes(seed + i, random.Next(1, 600_000)))];
        List<Range>[] work = [.. Enumerable.Range(0, random.Next(1, 4)).Select(_ => new List<Range>())];
        var arrangement = new Arrangement(contents, work);
        arrangement.Deal(random);
        await using var deployment = new SimulatedDeployment(world);
        var servers = new List<SecondaryServer>();
        for (int i = 0; i < work.Length; i++)
        {
            List<Range> mine = work[i];
            servers.Add(await deployment.StartSecondaryAsync(
                $"secondary {i + 1}", null, session => Task.WhenAll(mine.Select(range => arrangement.PushAsync(session, range)))));
        }

        await deployment.StartPrimaryAsync(null, session => arrangement.ServeAsync(session, servers));
        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            MaxPendingBytes = MiB,
            Aggregation = new() { MaxPendingBytes = 1L << random.Next(16, 20), MaxGaps = random.Next(1, 20) },
            SecondaryStreams = new() { MaxStreamsPerPath = random.Next(1, 5) },
        });
        List<KwikStream> streams = await AcceptAsync(session, contents.Length);
        foreach (KwikStream stream in streams.OrderBy(_ => random.Next()))
        {
            Assert.Equal(contents[(stream.Id - 1) / 8], await stream.ReadToEndAsync());
        }

        Assert.All(session.GetAllPaths(), path => Assert.Equal(0, path.Violations));
    });

    private static async Task StartOffersAsync(SimulatedDeployment deployment, MemoryContent content, int count)
    {
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", content.Replica());
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            for (int i = 0; i < count; i++)
            {
                KwikStream stream = await session.OpenStreamSync();
                await stream.OfferContentAsync(content.Offer);
            }

            await session.Closed;
        });
    }

    private static async Task WriteAsync(PrimarySession session, byte[] content)
    {
        await using KwikStream stream = await session.OpenStreamSync();
        await stream.WriteAsync(content);
        stream.CompleteWrites();
        await stream.WritesClosed;
    }

    private static async Task<List<KwikStream>> AcceptAsync(ClientSession session, int count)
    {
        List<KwikStream> streams = [];
        while (streams.Count < count)
        {
            streams.Add(await session.AcceptStream());
        }

        return streams;
    }

    private readonly record struct Range(int Stream, int Offset, int Length);

    /// <summary>Who pushes what; and a primary that fills what is lost.</summary>
    private sealed class Arrangement(byte[][] contents, List<Range>[] work)
    {
        // The ids of the streams that a primary opens.
        private static long StreamId(int index) => 1 + (8 * index);

        public void Deal(Random random)
        {
            for (int stream = 0; stream < contents.Length; stream++)
            {
                for (int offset = 0; offset < contents[stream].Length;)
                {
                    int length = Math.Min(random.Next(1, 150_000), contents[stream].Length - offset);
                    List<Range> mine = work[random.Next(work.Length)];
                    mine.Insert(random.Next(mine.Count + 1), new(stream, offset, length));
                    offset += length;
                }
            }
        }

        public async Task PushAsync(SecondarySession session, Range range)
        {
            try
            {
                await using SecondaryStream stream = await session.OpenStreamSync();
                stream.SetKwikStreamMapping(StreamId(range.Stream), range.Offset);
                await stream.WriteAsync(contents[range.Stream].AsMemory(range.Offset, range.Length));
                await stream.CompleteAsync();
            }
            catch (KwikException e) when (e.Code is KwikError.SecondaryStreamOverflow or KwikError.Cancelled or KwikError.None)
            {
                // It had to give way, and the primary hears of it; or the session is over, and the bytes are there already.
            }
        }

        public async Task ServeAsync(PrimarySession session, List<SecondaryServer> servers)
        {
            var streams = new List<KwikStream>();
            foreach (byte[] content in contents)
            {
                streams.Add(await session.OpenStreamSync());
            }

            for (int i = 0; i < servers.Count; i++)
            {
                int path = await session.AddPathAsync(servers[i]);
                work[i].ForEach(range => session.MapRange(streams[range.Stream], path, range.Offset, range.Length));
            }

            streams.ForEach(stream => stream.CompleteWrites(contents[(stream.Id - 1) / 8].Length));
            var fills = new List<Task>();
            while (await session.Events.WaitToReadAsync())
            {
                if (session.Events.TryRead(out SessionEvent? news) && news is RangeLost lost)
                {
                    fills.Add(FillAsync(streams.Single(stream => stream.Id == lost.StreamId), lost));
                }
            }

            await Task.WhenAll(fills);
        }

        private async Task FillAsync(KwikStream stream, RangeLost lost)
        {
            ReadOnlyMemory<byte> bytes = contents[(stream.Id - 1) / 8].AsMemory((int)lost.Offset, (int)lost.Length);
            while (true)
            {
                try
                {
                    await stream.WriteAtAsync(lost.Offset, bytes);
                    return;
                }
                catch (KwikException e) when (e.Code == KwikError.SecondaryStreamOverflow)
                {
                    // It had to give way, too.
                }
                catch (KwikException e) when (e.Code == KwikError.None)
                {
                    // The session is over, and the bytes are there already.
                    return;
                }
            }
        }
    }

    private static byte[] Bytes(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
