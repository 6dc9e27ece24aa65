#!/bin/sh
# Makes what must not be in a repository: certificates, passwords, ACL files. Run it once, beside compose.yaml:
#   sh ../make-secrets.sh DIR NAME_OR_ADDRESS...
# The names are those under which Redis servers are reached; localhost is added for their health checks. Files that are there stay
# as they are, so that a second run adds only what is missing.
# The CA's key is needed for new certificates only: keep it elsewhere.
set -eu
dir=${1:?usage: make-secrets.sh DIR NAME_OR_ADDRESS...}
shift
[ $# -gt 0 ] || { echo "make-secrets.sh: name at least one server" >&2; exit 2; }
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
umask 077
mkdir -p "$dir"
chmod 700 "$dir"
cd "$dir"

names=DNS:localhost,IP:127.0.0.1
for name; do
    case $name in
    *[!0-9.]*) names=$names,DNS:$name ;;
    *) names=$names,IP:$name ;;
    esac
done

sign() { # sign FILE COMMON_NAME EXTENSIONS...: a key and a certificate of our CA, good for 825 days
    file=$1 name=$2
    shift 2
    [ -f "$file.crt" ] && return
    openssl ecparam -name prime256v1 -genkey -noout -out "$file.key"
    openssl req -new -key "$file.key" -subj "/CN=$name" -out "$file.csr"
    printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' \
        'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid' "$@" >"$file.ext"
    openssl x509 -req -in "$file.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 825 -sha256 \
        -extfile "$file.ext" -out "$file.crt" 2>/dev/null
    rm -f "$file.csr" "$file.ext"
}

if [ ! -f ca.crt ]; then
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=Holdfast Redis CA" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out ca.crt
fi
# Redis servers are also clients of each other (replication, Sentinels, the Cluster's bus)
sign server "Redis server" "subjectAltName=$names" extendedKeyUsage=serverAuth,clientAuth
sign client "Holdfast node" extendedKeyUsage=clientAuth

for user in admin holdfast replica sentinel; do
    [ -f "$user-password" ] || openssl rand -hex 32 >"$user-password"
done
if [ ! -f access-keys.toml ]; then # nodes get the digest only; the key itself is for whoever calls them
    printf 'hf_%s\n' "$(openssl rand -hex 32)" >access-key
    hash=$(tr -d '\n' <access-key | openssl dgst -sha256 -r | cut -d' ' -f1)
    printf '[[keys]]\nname = "first"\nhash = "sha256:%s"\n' "$hash" >access-keys.toml
fi
[ -f cookie-secret ] || openssl rand -hex 32 >cookie-secret

digest() { printf %s "$(cat "$1-password")" | openssl dgst -sha256 -r | cut -d' ' -f1; }
for template in "$here"/acl/*.acl; do # passwords stand there as digests only
    sed -e "s/@admin@/#$(digest admin)/" -e "s/@holdfast@/#$(digest holdfast)/" -e "s/@replica@/#$(digest replica)/" \
        -e "s/@sentinel@/#$(digest sentinel)/" "$template" >"$(basename "$template")"
done
# Compose mounts these as they are, and the containers' users are not ours: readable in there, while the folder keeps others
# of this machine out
chmod 644 ./*.crt ./*.acl ./*-password access-keys.toml cookie-secret server.key client.key
chmod 600 ca.key access-key
echo "$dir: $(ls | tr '\n' ' ')"
