using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Renewed grants as primaries send them that are late, wrong, or busy; and what becomes of who is refused meanwhile.</summary>
public sealed class GrantRenewalRuleTests
{
    private const int Window = 256 * 1024;

    // The client's second stream.
    private const int NotOffered = 12;
    private static readonly MemoryContent Content = MemoryContent.Random(31, 2_000_000, 64 * 1024);

    public static TheoryData<string> BadRenewals => [.. Renewals.Keys];

    private static Dictionary<string, Action<GrantRenewal, Grant>> Renewals { get; } = new()
    {
        ["for a stream that was not offered"] = (renewal, _) => renewal.KwikStreamId = NotOffered,
        ["for another session"] = (_, grant) => grant.SessionId = Other(16),
        ["for another client"] = (_, grant) => grant.ClientKey = Other(32),
        ["for another content"] = (_, grant) => grant.Root = Other(32),
        ["for a shorter content"] = (_, grant) => grant.Length--,
        ["that never lived"] = (_, grant) => grant.Expires = 0,
    };

    [Theory]
    [MemberData(nameof(BadRenewals))]
    public void Renewal_ThatIsNoneOfWhatWasOffered_EndsTheSession(string name) => Run(async scene =>
    {
        await scene.OfferAsync();
        await scene.SendAsync(Renewals[name]);
        Assert.Equal(KwikError.MetadataProtocolViolation, await scene.Primary.EndAsync());
    });

    [Fact]
    public void Renewal_CutAnywhereOrTooLong_EndsTheSession()
    {
        int length = 0;
        Run(async scene =>
        {
            length = scene.Renewal((_, _) => { }).Grant.Length;
            await scene.OfferAsync();
            await scene.Primary.SendAsync(new ControlFrame { GrantRenewal = Cut(scene.Renewal((_, _) => { }), HeldGrant.MaxSize + 1) });
            Assert.Equal(KwikError.MetadataProtocolViolation, await scene.Primary.EndAsync());
        });
        for (int cut = 0; cut < length; cut += 7)
        {
            Run(async scene =>
            {
                await scene.OfferAsync();
                await scene.Primary.SendAsync(new ControlFrame { GrantRenewal = Cut(scene.Renewal((_, _) => { }), cut) });
                Assert.Equal(KwikError.MetadataProtocolViolation, await scene.Primary.EndAsync());
            });
        }
    }

    /// <summary>The requests that show a grant are to fit into a frame, whoever signed it.</summary>
    [Fact]
    public void Offer_WithAGrantThatIsTooLong_EndsTheSession()
    {
        Run(async scene =>
        {
            await scene.OfferAsync(HeldGrant.MaxSize);
            await scene.AssertLivesAsync();
        });
        foreach (int length in new[] { HeldGrant.MaxSize + 1, ControlCodec.MaxFrameSize - 128 })
        {
            Run(async scene =>
            {
                await scene.OfferAsync(length);
                Assert.Equal(KwikError.MetadataProtocolViolation, await scene.Primary.EndAsync());
            });
        }
    }

    [Fact]
    public void Renewal_OfAStreamThatIsClosed_IsIgnored() => Run(async scene =>
    {
        await scene.OfferAsync();
        await scene.Stream.DisposeAsync();
        await scene.SendAsync((_, _) => { });
        await scene.SendAsync((renewal, _) => renewal.KwikStreamId = 4001);
        await scene.AssertLivesAsync();
    });

    /// <summary>The refusal and the new grant cross; the secondary is asked again.</summary>
    [Theory]
    [SimulationSeeds]
    public void Renewal_ThatComesAfterTheRefusal_SecondaryServesOn(int seed) => Run(
        async scene =>
        {
            await scene.ServeFromASecondaryAsync();
            await scene.ReadAsync(500_000);
            await scene.World.Delay(TimeSpan.FromMinutes(11));
            Task reading = scene.ReadAsync((int)Content.Offer.Length);
            await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(100, 1900)));
            Assert.False(reading.IsCompleted);
            await scene.SendAsync((_, _) => { });
            await reading;
        },
        seed);

    /// <summary>The request that showed the grant may have been overtaken: who refuses one without it is shown it again, and then believed.</summary>
    [Fact]
    public void Refusal_OfARequestWithoutTheGrant_IsAskedAgainWithIt()
    {
        List<bool> showed = [];
        DeliveryScene.Run(
            1,
            Content,
            [
                SceneServer.Nothing,
                new(null, async rogue =>
                {
                    rogue.Content = Content;
                    await rogue.ReceiveAsync(async request =>
                    {
                        showed.Add(!request.Grant.IsEmpty);
                        // The first showed it, or the request for hashes before.
                        if (showed.Count == 2 || (showed.Count > 2 && showed[^1]))
                        {
                            await rogue.SendAsync(new ControlFrame
                            {
                                RangeRefused = new RangeRefused { RequestId = request.RequestId, ErrorCode = (ulong)KwikError.AuthenticationFailed },
                            });
                        }
                    });
                }),
            ],
            async scene => Assert.Equal(KwikError.AuthenticationFailed, (await scene.ReadAsync())?.Code));

        Assert.False(showed[1]);
        Assert.Single(showed.Skip(2), shown => shown);
    }

    /// <summary>As primaries do that know of no renewals.</summary>
    [Fact]
    public void Renewal_ThatNeverComes_StreamFailsWithAuthenticationFailedInTime() => Run(async scene =>
    {
        await scene.ServeFromASecondaryAsync();
        await scene.ReadAsync(500_000);
        await scene.World.Delay(TimeSpan.FromMinutes(11));
        TimeSpan began = scene.World.Time.Elapsed;
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => scene.ReadAsync((int)Content.Offer.Length));

        Assert.Equal(KwikError.AuthenticationFailed, e.Code);
        Assert.InRange((scene.World.Time.Elapsed - began).TotalSeconds, 1.9, 3);
    });

    [Fact]
    public void Primary_WhoseClientIsDoneWithNothing_OffersNoMoreThanTheLimit() => Simulation.Run(1, world =>
    {
        var offers = new OpenOffers(world.Time);
        for (int i = 0; i < OpenOffers.MaxOpen; i++)
        {
            offers.Add(i, Content.Offer);
        }

        KwikException e = Assert.Throws<KwikException>(() => offers.Add(OpenOffers.MaxOpen, Content.Offer));
        Assert.Equal((KwikError.LimitExceeded, KwikErrorSide.Remote, OpenOffers.MaxOpen), (e.Code, e.Side, e.StreamId));
        Assert.Null(offers.Find(OpenOffers.MaxOpen));

        offers.Remove(7);
        offers.Add(OpenOffers.MaxOpen, Content.Offer);
        Assert.Equal(Content.Offer, offers.Find(OpenOffers.MaxOpen));
        return Task.CompletedTask;
    });

    /// <summary>The client takes all of them, and the next ones; each has a new grant before the old one is worth nothing.</summary>
    [Fact]
    public void Primary_WithTenThousandOpenOffers_RenewsAllOfThemAndIsNotCutOff() => Simulation.Run(1, async world =>
    {
        const int streams = 10_000;
        var offers = new OpenOffers(world.Time);
        var renewed = new Dictionary<long, List<TimeSpan>>();
        for (int i = 0; i < streams; i++)
        {
            offers.Add(i, Content.Offer);
        }

        var budget = FrameBudget.OfPeer(world.Time, publicStreams: 1);
        using var stop = new CancellationTokenSource();
        Task renewing = offers.RenewAsync(
            (streamId, _) =>
            {
                Assert.True(budget.TryTake(), "More than a client takes.");
                renewed.TryAdd(streamId, []);
                renewed[streamId].Add(world.Time.Elapsed);
            },
            stop.Token);
        await world.Delay(TimeSpan.FromMinutes(9));
        Assert.Equal(streams, renewed.Count);
        Assert.All(renewed.Values, times => Assert.Single(times));
        for (int i = 0; i < streams / 2; i++)
        {
            offers.Remove(i);
        }

        await world.Delay(TimeSpan.FromMinutes(20));
        Assert.All(renewed, entry => Assert.Equal(entry.Key < streams / 2 ? 1 : 5, entry.Value.Count));
        Assert.All(renewed.Values, times => Assert.All(
            times.Zip(times.Skip(1)), pair => Assert.InRange((pair.Second - pair.First).TotalMinutes, 5, 9.5)));
        for (int i = 0; i < streams; i++)
        {
            offers.Remove(i);
        }

        renewed.Clear();
        await world.Delay(TimeSpan.FromMinutes(20));
        Assert.Empty(renewed);
        stop.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => renewing);
    });

    [Fact]
    public void Streams_ThatAreClosed_AreRenewedNoMore() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(Content.Replica(), async session =>
        {
            for (int i = 0; i < 2; i++)
            {
                await (await session.OpenStreamSync()).OfferContentAsync(Content.Offer);
            }

            await session.Closed;
        });
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        ulong first = (await client.UntilAsync(ControlFrame.BodyOneofCase.ContentOffer)).ContentOffer.KwikStreamId;
        ulong second = (await client.UntilAsync(ControlFrame.BodyOneofCase.ContentOffer)).ContentOffer.KwikStreamId;
        Assert.Equal(first, (await client.UntilAsync(ControlFrame.BodyOneofCase.GrantRenewal)).GrantRenewal.KwikStreamId);
        Assert.Equal(second, (await client.UntilAsync(ControlFrame.BodyOneofCase.GrantRenewal)).GrantRenewal.KwikStreamId);
        Assert.InRange(world.Time.Elapsed.TotalMinutes, 5, 5.1);

        await client.SendAsync(new ControlFrame { StreamClosed = new StreamClosed { KwikStreamId = first } });
        Assert.Equal(second, (await client.UntilAsync(ControlFrame.BodyOneofCase.GrantRenewal)).GrantRenewal.KwikStreamId);
        Assert.Equal(second, (await client.UntilAsync(ControlFrame.BodyOneofCase.GrantRenewal)).GrantRenewal.KwikStreamId);
        Assert.InRange(world.Time.Elapsed.TotalMinutes, 15, 15.1);
    });

    private static ByteString Other(int length) => ByteString.CopyFrom([.. Enumerable.Repeat((byte)1, length)]);

    private static GrantRenewal Cut(GrantRenewal renewal, int length)
    {
        byte[] bytes = renewal.Grant.ToByteArray();
        Array.Resize(ref bytes, length);
        renewal.Grant = ByteString.CopyFrom(bytes);
        return renewal;
    }

    private static void Run(Func<Scene, Task> play, int seed = 1) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new AggregatorOptions { MaxPendingBytes = Window },
        });
        await using RawPeer primary = await accepting;
        await using KwikStream stream = await session.OpenStreamSync();
        await using KwikStream other = await session.OpenStreamSync();
        Assert.Equal(NotOffered, other.Id);
        var scene = new Scene(world, deployment, session, stream, primary);
        await play(scene);
        await scene.EndAsync();
    });

    /// <summary>A primary that the test plays, which has offered the client's first stream and serves none of it.</summary>
    private sealed class Scene(
        SimulatedWorld world, SimulatedDeployment deployment, ClientSession session, KwikStream stream, RawPeer primary)
    {
        private readonly byte[] _received = new byte[Content.Offer.Length];
        private int _count;
        private Task? _answering;

        public SimulatedWorld World => world;

        public KwikStream Stream => stream;

        public RawPeer Primary => primary;

        public GrantRenewal Renewal(Action<GrantRenewal, Grant> change)
        {
            var renewal = new GrantRenewal { KwikStreamId = (ulong)stream.Id };
            var grant = new Grant
            {
                SessionId = RawPeer.Answer().SessionId,
                ClientKey = ByteString.CopyFrom(primary.Connection.PeerKey.Bytes),
                Root = ByteString.CopyFrom(Content.Offer.Root.ToByteArray()),
                Length = (ulong)Content.Offer.Length,
                Expires = world.Time.GetUtcNow().ToUnixTimeSeconds() + 600,
            };
            change(renewal, grant);
            Assert.Equal(0, renewal.Grant.Length);
            renewal.Grant = ByteString.CopyFrom(deployment.SigningKey.Sign(new Statement { Grant = grant }));
            return renewal;
        }

        public ValueTask SendAsync(Action<GrantRenewal, Grant> change) =>
            primary.SendAsync(new ControlFrame { GrantRenewal = Renewal(change) });

        public ValueTask OfferAsync() => OfferAsync(Renewal((_, _) => { }).Grant);

        /// <summary>Offers with a grant of this many bytes, which no server would take.</summary>
        public ValueTask OfferAsync(int grantLength) => OfferAsync(Other(grantLength));

        private ValueTask OfferAsync(ByteString grant)
        {
            Data.Wire.ContentOffer offer = ControlLimitTests.Offer(stream.Id, Content);
            offer.Grant = grant;
            return primary.SendAsync(new ControlFrame { ContentOffer = offer });
        }

        /// <summary>Offers the content with a secondary that has it; the primary itself has nothing.</summary>
        public async Task ServeFromASecondaryAsync()
        {
            _answering = AnswerAsync();
            SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", Content.Replica());
            world.SetLinks(deployment.ClientHost, world.Host("secondary 1"), link => link.BitsPerSecond = 20_000_000);
            ByteString pin = ByteString.CopyFrom(secondary.Pins[0].Bytes);
            long now = world.Time.GetUtcNow().ToUnixTimeSeconds();
            var token = new PathToken
            {
                SessionId = RawPeer.Answer().SessionId,
                PathId = 1,
                ClientKey = ByteString.CopyFrom(primary.Connection.PeerKey.Bytes),
                NotBefore = now,
                Expires = now + 600,
            };
            token.ServerKeys.Add(pin);
            ControlFrame announcement = Corpus.AddPath(1, secondary.Host);
            announcement.AddPath.Pins.Clear();
            announcement.AddPath.Pins.Add(pin);
            announcement.AddPath.PathToken = ByteString.CopyFrom(deployment.SigningKey.Sign(new Statement { PathToken = token }));
            await primary.SendAsync(announcement);
            await session.Events.UntilAsync(1, PathState.Active);
            await OfferAsync();
        }

        public async Task ReadAsync(int end)
        {
            while (_count < end)
            {
                int read = await stream.ReadAsync(_received.AsMemory(_count, end - _count));
                Assert.NotEqual(0, read);
                _count += read;
            }

            Assert.True(Content.BeginsWith(_received.AsSpan(0, _count)));
        }

        /// <summary>The client answers, so it has not ended the session.</summary>
        public async Task AssertLivesAsync()
        {
            await primary.SendAsync(new ControlFrame { Heartbeat = new Heartbeat { Sequence = 77 } });
            Assert.Equal(77u, (await primary.UntilAsync(ControlFrame.BodyOneofCase.HeartbeatAck)).HeartbeatAck.Sequence);
        }

        public async Task EndAsync()
        {
            if (_answering is not null)
            {
                await session.DisposeAsync();
                await _answering;
            }
        }

        private async Task AnswerAsync()
        {
            while (await primary.ReceiveAsync() is { SessionClose: null } frame)
            {
                if (frame.Heartbeat is { } heartbeat)
                {
                    await primary.SendAsync(new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = heartbeat.Sequence } });
                }

                if (frame.RangeRequest is { } request)
                {
                    await primary.SendAsync(new ControlFrame
                    {
                        RangeRefused = new RangeRefused { RequestId = request.RequestId, ErrorCode = (ulong)KwikError.NotFound },
                    });
                }
            }

            await primary.Connection.CloseAsync(KwikError.None);
        }
    }
}
