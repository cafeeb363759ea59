using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Quic;

namespace Kwik.Provider.Tests;

/// <summary>Kestrel with HTTP/3 alone, on a port of loopback, and clients for it.</summary>
internal sealed class Http3Server : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly ConcurrentDictionary<string, byte> _connections;

    private Http3Server(WebApplication application, ConcurrentDictionary<string, byte> connections)
    {
        _application = application;
        _connections = connections;
        Address = new Uri(application.Urls.Single());
    }

    /// <summary>https://127.0.0.1:PORT, which the server's certificate is good for.</summary>
    public Uri Address { get; }

    /// <summary>How many connections have brought a request.</summary>
    public int ConnectionCount => _connections.Count;

    /// <param name="handle">Answers every request; null: <see cref="ServeContentAsync"/>.</param>
    /// <param name="configure">Changes QUIC's options.</param>
    public static async Task<Http3Server> StartAsync(RequestDelegate? handle = null, Action<QuicTransportOptions>? configure = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost
            .UseKestrelCore()
            .UseKestrelHttpsConfiguration()
            .UseQuic(configure ?? (_ => { }))
            .ConfigureKestrel(kestrel =>
            {
                kestrel.Limits.MaxRequestBodySize = null;
                // On a busy machine a slow client is no attack.
                kestrel.Limits.MinRequestBodyDataRate = null;
                kestrel.Limits.MinResponseDataRate = null;
                kestrel.Listen(IPAddress.Loopback, 0, listen =>
                {
                    listen.Protocols = HttpProtocols.Http3;
                    listen.UseHttps(Certificates.Server);
                });
            });
        WebApplication application = builder.Build();
        var connections = new ConcurrentDictionary<string, byte>();
        RequestDelegate inner = handle ?? ServeContentAsync;
        application.Run(context =>
        {
            connections.TryAdd(context.Connection.Id, 0);
            return inner(context);
        });
        await application.StartAsync().Bounded();
        return new Http3Server(application, connections);
    }

    /// <summary>GET /SEED-LENGTH gives content of that seed and length; POST gives the request's body back as it comes.</summary>
    public static async Task ServeContentAsync(HttpContext context)
    {
        if (HttpMethods.IsPost(context.Request.Method))
        {
            await context.Request.Body.CopyToAsync(context.Response.Body, context.RequestAborted);
            return;
        }

        string[] parts = context.Request.Path.Value!.TrimStart('/').Split('-');
        long seed = long.Parse(parts[0], CultureInfo.InvariantCulture);
        long length = long.Parse(parts[1], CultureInfo.InvariantCulture);
        context.Response.ContentLength = length;
        await WriteContentAsync(context, seed, length);
    }

    public static async Task WriteContentAsync(HttpContext context, long seed, long length)
    {
        var chunk = new byte[64 * 1024];
        for (long offset = 0; offset < length; offset += chunk.Length)
        {
            Memory<byte> part = chunk.AsMemory(0, (int)Math.Min(chunk.Length, length - offset));
            Content.Fill(part.Span, seed, offset);
            await context.Response.Body.WriteAsync(part, context.RequestAborted);
        }
    }

    /// <summary>Reads to the end and checks every byte.</summary>
    public static async Task AssertContentAsync(HttpContent body, long seed, long length)
    {
        await using Stream stream = await body.ReadAsStreamAsync().Bounded();
        var buffer = new byte[64 * 1024];
        long offset = 0;
        for (int read; (read = await stream.ReadAsync(buffer).Bounded()) > 0; offset += read)
        {
            Content.AssertAt(buffer.AsSpan(0, read), seed, offset);
        }

        Assert.Equal(length, offset);
    }

    /// <summary>A client with connections of its own, HTTP/3 or nothing.</summary>
    public static HttpClient CreateClient(Uri server, Action<SocketsHttpHandler>? configure = null)
    {
        var transport = new SocketsHttpHandler
        {
            SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = Certificates.TrustRoot() },
            UseProxy = false,
        };
        configure?.Invoke(transport);
        return new HttpClient(transport)
        {
            BaseAddress = server,
            DefaultRequestVersion = HttpVersion.Version30,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Timeout = Patience.Limit,
        };
    }

    public HttpClient CreateClient(Action<SocketsHttpHandler>? configure = null) => CreateClient(Address, configure);

    /// <summary>Stops taking requests and waits for those that run.</summary>
    public Task StopAsync() => _application.StopAsync().Bounded();

    public ValueTask DisposeAsync() => new(_application.DisposeAsync().Bounded());
}
